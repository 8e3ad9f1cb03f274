import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Link, LinkCounters } from '../../shared/kernel/rtnetlink.ts'
import type { LiveInterface } from './records.ts'
import { SandboxStats } from './stats.ts'

const counters = (n: number): LinkCounters => ({
  ...{ rx_bytes: n, rx_packets: 0, rx_errors: 0, rx_dropped: 0 },
  ...{ tx_bytes: 0, tx_packets: 0, tx_errors: 0, tx_dropped: 0 },
})

/** A host whose interfaces count how often they were read. */
function host(names: string[]) {
  const seen = { reads: 0, lists: 0 }
  const endpoint = (id: string) =>
    ({ sandbox: id, interface: 'eth0', hostInterface: `v-${id}` }) as unknown as LiveInterface
  const records = {
    sandbox: (id: string) => ({ root: id, phase: 'up' }),
    endpointsOf: (id: string) => [endpoint(id)],
    liveInterfaces: () => names.map(endpoint),
  }
  const link = {
    counters: () => new Map(names.map((_, i) => [i + 1, counters(++seen.reads)] as const)),
    links: () => {
      seen.lists++
      return names.map((name, i) => ({ name: `v-${name}`, index: i + 1 }) as unknown as Link)
    },
    close: () => undefined,
  }
  const stats = new SandboxStats(records as never, { netns: () => '' }, () => link)
  const bytes = (id: string) => stats.read([id])[id]?.['eth0']?.tx_bytes
  return { seen, bytes, names }
}

test('who asks at the same time shares what was read, who asks a second later does not', (t) => {
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  const { seen, bytes } = host(['a', 'b'])
  assert.equal(bytes('a'), 1)
  assert.equal(bytes('b'), 2)
  assert.equal(bytes('a'), 1)
  assert.deepEqual(seen, { reads: 2, lists: 1 })
  now += 1000
  assert.equal(bytes('a'), 3)
})

test('an interface that came meanwhile is seen at once', () => {
  const { bytes, names } = host(['a'])
  assert.equal(bytes('a'), 1)
  names.push('b')
  assert.equal(bytes('b'), 3)
})
