import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { api } from '../support/api.ts'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

/** What Prometheus reads of a real engine. */
describe('metrics', () => {
  let engine: TestEngine

  before(async () => {
    engine = await startEngine()
  })
  after(() => engine.stop())

  const docker = async (...args: string[]): Promise<string> => {
    const result = await engine.docker(args)
    assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stdout}${result.stderr}`)
    return result.stdout.trim()
  }
  const scrape = async (): Promise<string> => (await api(engine.socket, 'GET', '/metrics')).text()
  /** The value of a container's metric; NaN when it is not there. */
  const value = (text: string, metric: string, name: string): number => {
    const line = text.split('\n').find((l) => l.startsWith(`${metric}{`) && l.includes(`name="${name}"`))
    return Number(line?.split(' ').at(-1) ?? NaN)
  }

  test('counters rise with the work that containers do, and go with them', { timeout: 60_000 }, async () => {
    const id = await docker('run', '-d', '--name', 'burner', IMAGE, 'sh', '-c', 'while :; do :; done')
    await docker('run', '-d', '--name', 'server', IMAGE, 'httpd', '-f', '-h', '/www')
    const address = await docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'server')

    // The first scrape is right already: no second has passed in which samples could have come.
    const first = await scrape()
    const cpu = value(first, 'container_cpu_usage_seconds_total', 'burner')
    const received = value(first, 'container_network_receive_bytes_total', 'server')
    assert(cpu > 0, first)
    assert(received >= 0, first)
    assert(value(first, 'container_memory_usage_bytes', 'burner') > 0)
    assert(value(first, 'container_pids', 'burner') >= 1)
    assert.match(first, new RegExp(`container_state{id="${id}",name="burner",image="${IMAGE}",state="running"} 1`))
    assert.match(first, /^gantry_containers{state="running"} 2$/m)
    for (const service of ['gateway', 'engine', 'network', 'storage', 'cgroup', 'exec']) {
      assert.match(first, new RegExp(`^gantry_service_up{service="${service}"} 1$`, 'm'))
    }

    await until('traffic', 10_000, async () => (await fetch(`http://${address}/`)).ok)
    for (let i = 0; i < 20; i++) await (await fetch(`http://${address}/`)).text()
    const later = await until('rising counters', 20_000, async () => {
      const text = await scrape()
      const burnt = value(text, 'container_cpu_usage_seconds_total', 'burner') - cpu
      const more = value(text, 'container_network_receive_bytes_total', 'server') - received
      return burnt > 0.2 && more > 20 * 100 ? text : undefined
    })
    // What the container sends is the page and its header, 20 times.
    assert(value(later, 'container_network_transmit_bytes_total', 'server') > 20 * 'hello-from-httpd'.length)
    const statistics = await docker('stats', '--no-stream', '--format', '{{.NetIO}}', 'server')
    assert.match(statistics, /kB/)

    await docker('rm', '-f', 'burner', 'server')
    const last = await scrape()
    assert.doesNotMatch(last, /name="(burner|server)"/)
    assert.match(last, /^gantry_containers{state="running"} 0$/m)
  })
})
