import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { internal, unavailable } from '../../shared/errors/index.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'
import { tester } from './table.ts'

const health =
  (service: string, warnings: string[] = []) =>
  async () => ({
    service,
    pid: 1,
    version: '1',
    ready: true,
    uptime: 100,
    warnings,
    drivers: [
      { kind: service, name: 'one', version: '1', default: true, usable: true, capabilities: {} },
      { kind: service, name: 'two', version: '1', default: false, usable: false, reason: 'no', capabilities: {} },
    ],
  })

let gateway: TestGateway

before(async () => {
  gateway = await startTestGateway({
    engine: {
      info: async () => ({ id: 'abc', containers: 3, running: 1, paused: 0, stopped: 2 }),
      health: health('engine'),
      'job.list': async ({ last }) => {
        if (last === 7) throw internal('boom')
        return []
      },
    },
    storage: {
      info: async () => ({ images: 2, driver: 'vfs', driverStatus: [['a', 'b']], root: '/r' }),
      health: health('storage'),
    },
    network: {
      health: async () => {
        throw unavailable('gone')
      },
    },
    cgroup: {
      info: async () => ({
        driver: 'cgroupfs',
        version: '1',
        limits: { MemoryLimit: true, SwapLimit: false },
        warnings: ['WARNING: no swap'],
      }),
      health: health('cgroup', ['too old']),
    },
    exec: {
      info: async () => ({
        defaultRuntime: 'crun',
        runtimes: { crun: { path: '/usr/bin/crun', version: '1.8.1' } },
        logDrivers: ['json-file'],
        defaultLogDriver: 'json-file',
        securityOptions: ['name=seccomp,profile=default'],
        initBinary: 'tini',
      }),
      health: health('exec'),
    },
  })
})
after(() => gateway.stop())
const t = tester(() => gateway)

t('GET', '/info', 200, {
  ID: 'abc',
  Containers: 3,
  ContainersRunning: 1,
  Images: 2,
  Driver: 'vfs',
  DefaultRuntime: 'crun',
  MemoryLimit: true,
  SwapLimit: false,
  CgroupDriver: 'cgroupfs',
  CgroupVersion: '1',
  Swarm: { LocalNodeState: 'inactive' },
  Warnings: ['WARNING: no swap', /network service does not answer: gone/, 'WARNING: cgroup: too old'],
})
t('GET', '/v1.48/info', 200, { BridgeNfIptables: true })
t('GET', '/version', 200, {
  ApiVersion: '1.51',
  MinAPIVersion: '1.24',
  Os: 'linux',
  Components: [
    { Name: 'Engine', Details: { ApiVersion: '1.51' } },
    { Name: 'crun', Version: '1.8.1' },
  ],
})
t('GET', '/gantry/v1/services', 200, [
  { service: 'engine' },
  { service: 'storage' },
  { service: 'cgroup' },
  { service: 'exec' },
])
t('GET', '/gantry/v1/jobs?last=5', 200, [])
t('GET', '/gantry/v1/jobs?last=7', 500, { message: 'boom' })
t('GET', '/gantry/v1/jobs?last=x', 400, { message: /parameter last/ })

// versions
t('GET', '/v1.24/_ping', 200)
t('GET', '/v1.51/_ping', 200)
t('GET', '/v1.52/info', 400, { message: 'client version 1.52 is too new. Maximum supported API version is 1.51' })
t('GET', '/v1.99/nope', 400, { message: /client version 1.99 is too new/ })
t('GET', '/v2.0/info', 400, { message: /client version 2.0 is too new/ })
t('GET', '/v1.12/info', 400, { message: /client version 1.12 is too old. Minimum supported API version is 1.24/ })

// what is not there
t('GET', '/nope', 404, { message: 'page not found' })
t('GET', '/v1.45/nope', 404, { message: 'page not found' })
t('PATCH', '/info', 404, { message: 'page not found' })
t('HEAD', '/info', 404)
t('GET', '/containers/%zz/json', 400)
for (const [method, path, name] of [
  ['GET', '/system/df', /disk usage/],
  ['POST', '/build?t=x', /image build/],
  ['POST', '/commit?container=x', /container commit/],
  ['PUT', '/containers/x/archive?path=/', /archive/],
  ['GET', '/containers/x/export', /export/],
  ['GET', '/containers/x/changes', /changes/],
  ['GET', '/containers/x/attach/ws', /websocket/],
  ['POST', '/auth', /login/],
  ['POST', '/swarm/init', /swarm/],
  ['GET', '/services', /services/],
  ['GET', '/secrets/x', /secrets/],
  ['POST', '/plugins/a/b/enable', /plugin/],
  ['GET', '/distribution/a/b/json', /distribution/],
  ['GET', '/images/search?term=x', /search/],
  ['POST', '/session', /session/],
] as const) {
  t(method, path, 501, { message: new RegExp(`${name.source}.*is not implemented yet`) })
}

test('ping: headers that clients negotiate by, for GET and HEAD', async () => {
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, text } = await gateway.send(method, '/_ping')
    assert.equal(status, 200)
    assert.equal(text, method === 'GET' ? 'OK' : '')
    assert.equal(headers['api-version'], '1.51')
    assert.equal(headers['ostype'], 'linux')
    assert.equal(headers['docker-experimental'], 'false')
    assert.equal(headers['builder-version'], '1')
    assert.equal(headers['swarm'], 'inactive')
    assert.match(String(headers['server']), /^Gantry\/\S+ \(linux\)$/)
    assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate')
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
  }
})

test('errors have the headers too, and exactly the media type that the docker CLI reads', async () => {
  const { headers } = await gateway.send('GET', '/nope')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['api-version'], '1.51')
})

test('what is no HTTP is told so', async () => {
  const socket = connect(gateway.socket)
  socket.write('garbage\r\n\r\n')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  assert.match(chunk.toString(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*"message"/)
})

test('ping is quick', async () => {
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const start = performance.now()
    await gateway.send('GET', '/_ping')
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const median = times[100] ?? 0
  // A whole request with a new connection; a generous bound, since other things run on the machine.
  assert(median < 20, `${median} ms`)
})
