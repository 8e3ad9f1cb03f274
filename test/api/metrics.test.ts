import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { StatsSample } from '../../shared/contracts/index.ts'
import { unavailable } from '../../shared/errors/index.ts'
import { VERSION } from '../../shared/service/version.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'
import { tester } from './table.ts'

const id = (c: string): string => c.repeat(64)
const container = (c: string, name: string, state: string, network = 'bridge') => ({
  ...{ Id: id(c), Names: [`/${name}`], Image: `image/${name}`, State: state },
  HostConfig: { NetworkMode: network },
})
const group = (cpuSeconds: number) => ({
  read: '2026-01-01T00:00:00.000000000Z',
  pids_stats: { current: 3 },
  cpu_stats: {
    cpu_usage: { total_usage: cpuSeconds * 1e9, usage_in_kernelmode: 5e8, usage_in_usermode: 25e8 },
    throttling_data: { periods: 10, throttled_periods: 4, throttled_time: 15e8 },
  },
  memory_stats: { usage: 4096, limit: 65_536, stats: { file: 1024, anon: 2048, inactive_file: 96 } },
  blkio_stats: {
    io_service_bytes_recursive: [
      { major: 999, minor: 7, op: 'Read', value: 11 },
      { major: 999, minor: 7, op: 'write', value: 12 },
      { major: 999, minor: 7, op: 'Total', value: 23 },
    ],
    io_serviced_recursive: null,
  },
  oom_kills: 1,
})
const traffic = (rx: number) => ({
  eth0: {
    ...{ rx_bytes: rx, rx_packets: 2, rx_errors: 0, rx_dropped: 1 },
    ...{ tx_bytes: 30, tx_packets: 4, tx_errors: 5, tx_dropped: 6 },
  },
})

let containers: ReturnType<typeof container>[] = []
let asked: string[] = []
let engineAway = false
let tell: (sample: StatsSample) => void = () => assert.fail('nobody listens')
let subscriptions = 0
let gateway: TestGateway

const health = (service: string) => async () => ({
  ...{ service, pid: 1, version: '1', ready: service !== 'exec', uptime: 100 },
  ...{ warnings: [], drivers: [] },
})
before(async () => {
  gateway = await startTestGateway({
    engine: {
      health: health('engine'),
      'container.list': async () => {
        if (engineAway) throw unavailable('gone')
        return containers
      },
      'container.stats': async ({ ref }) => {
        asked.push(ref)
        return { id: ref, ...group(7), networks: traffic(70) }
      },
    },
    storage: { health: health('storage') },
    network: {
      health: async () => {
        throw unavailable('gone')
      },
    },
    cgroup: { health: health('cgroup') },
    exec: { health: health('exec') },
    onStats: (handle) => {
      subscriptions += 1
      tell = handle
      return { stop: async () => undefined }
    },
  })
})
after(() => gateway.stop())
beforeEach(() => {
  containers = []
  asked = []
  engineAway = false
})

/** The lines of a scrape without comments: `name{labels}` and value. */
async function scrape(): Promise<Map<string, number>> {
  const reply = await gateway.send('GET', '/metrics')
  assert.equal(reply.status, 200, reply.text)
  assert.equal(reply.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  const lines = reply.text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}
const labels = (c: string, name: string, more = ''): string =>
  `{id="${id(c)}",name="${name}",image="image/${name}"${more}}`

const t = tester(() => gateway)
t('GET', '/metrics', 200)
t('GET', '/v1.51/metrics', 200)
t('POST', '/metrics', 404)

test('the first scrape asks for what no sample came of yet; later ones take what the bus brings', async () => {
  containers = [container('a', 'web', 'running')]
  const web = labels('a', 'web')
  const first = await scrape()
  assert.equal(first.get(`container_cpu_usage_seconds_total${web}`), 7)
  assert.equal(first.get(`container_network_receive_bytes_total${labels('a', 'web', ',interface="eth0"')}`), 70)
  assert.deepEqual(asked, [id('a')])

  tell({ source: 'cgroup', id: id('a'), ...group(9) })
  tell({ source: 'network', id: id('a'), read: 'now', networks: traffic(90) })
  const second = await scrape()
  assert.equal(second.get(`container_cpu_usage_seconds_total${web}`), 9)
  assert.equal(second.get(`container_network_receive_bytes_total${labels('a', 'web', ',interface="eth0"')}`), 90)
  assert.deepEqual(asked, [id('a')])
  assert.equal(subscriptions, 1)
})

test('a sample as metrics, in their units', async () => {
  containers = [container('b', 'db', 'running')]
  const found = await scrape()
  const own: Record<string, number> = {
    container_cpu_user_seconds_total: 2.5,
    container_cpu_system_seconds_total: 0.5,
    container_cpu_cfs_periods_total: 10,
    container_cpu_cfs_throttled_periods_total: 4,
    container_cpu_cfs_throttled_seconds_total: 1.5,
    container_memory_usage_bytes: 4096,
    container_memory_working_set_bytes: 4000,
    container_memory_limit_bytes: 65_536,
    container_memory_cache: 1024,
    container_memory_rss: 2048,
    container_oom_events_total: 1,
    container_pids: 3,
  }
  for (const [name, value] of Object.entries(own)) assert.equal(found.get(name + labels('b', 'db')), value, name)
  const device: Record<string, number> = { reads: 11, writes: 12 }
  for (const [way, value] of Object.entries(device)) {
    assert.equal(found.get(`container_fs_${way}_bytes_total${labels('b', 'db', ',device="999:7"')}`), value, way)
  }
  const link: Record<string, number> = {
    ...{ receive_packets: 2, receive_errors: 0, receive_packets_dropped: 1 },
    ...{ transmit_bytes: 30, transmit_packets: 4, transmit_errors: 5, transmit_packets_dropped: 6 },
  }
  for (const [what, value] of Object.entries(link)) {
    const name = `container_network_${what}_total${labels('b', 'db', ',interface="eth0"')}`
    assert.equal(found.get(name), value, name)
  }
  // Not counted by this kernel: absent, not 0.
  const names = [...found.keys()]
  assert(!names.some((name) => /^container_(memory_swap|memory_max_usage_bytes|fs_reads_total)/.test(name)))
})

test('states, services, version', async () => {
  containers = [container('c', 'one', 'exited'), container('d', 'two', 'exited'), container('e', 'three', 'paused')]
  const found = await scrape()
  assert.equal(found.get('gantry_containers{state="exited"}'), 2)
  assert.equal(found.get('gantry_containers{state="paused"}'), 1)
  assert.equal(found.get('gantry_containers{state="running"}'), 0)
  assert.equal(found.get(`container_state${labels('c', 'one', ',state="exited"')}`), 1)
  // Only those that live have counters.
  assert.deepEqual(asked, [id('e')])
  assert(!found.has(`container_pids${labels('c', 'one')}`))
  const up = ['gateway', 'engine', 'network', 'storage', 'cgroup', 'exec'].map((s) => [
    s,
    found.get(`gantry_service_up{service="${s}"}`),
  ])
  assert.deepEqual(Object.fromEntries(up), { gateway: 1, engine: 1, network: 0, storage: 1, cgroup: 1, exec: 0 })
  assert.equal(found.get('gantry_service_uptime_seconds{service="engine"}'), 100)
  assert(!found.has('gantry_service_uptime_seconds{service="network"}'))
  assert.equal(found.get(`gantry_build_info{version="${VERSION}",node_version="${process.version}"}`), 1)
})

test('a container with the network of the host, or of another, has no interfaces of its own', async () => {
  containers = [container('f', 'h', 'running', 'host'), container('1', 'j', 'running', `container:${id('a')}`)]
  const found = await scrape()
  assert.equal(found.get(`container_pids${labels('f', 'h')}`), 3)
  assert(![...found.keys()].some((name) => name.startsWith('container_network_')))
})

test('many new containers are not asked one by one when the next second brings their samples', async () => {
  containers = Array.from({ length: 40 }, (_, i) => ({
    ...container('2', `n${i}`, 'running', 'none'),
    Id: i.toString(16).padStart(64, '3'),
  }))
  const scraping = scrape()
  setTimeout(() => containers.forEach((c) => tell({ source: 'cgroup', id: c.Id, ...group(1) })), 300)
  const found = await scraping
  assert.equal([...found.keys()].filter((name) => name.startsWith('container_pids')).length, 40)
  assert.deepEqual(asked, [])
})

test('what is gone has no metrics', async () => {
  const text = (await gateway.send('GET', '/metrics')).text
  assert.doesNotMatch(text, /name="web"/)
})

test('without the engine service the rest is told', async () => {
  engineAway = true
  const found = await scrape()
  assert.equal(found.get('gantry_service_up{service="cgroup"}'), 1)
  assert(![...found.keys()].some((name) => name.startsWith('gantry_containers')))
})
