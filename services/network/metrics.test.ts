import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import type { StatsSample } from '../../shared/contracts/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Metrics } from './metrics.ts'

test('publishes every second while there are interfaces, rests without, and stop ends it', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const counters = {
      ...{ rx_bytes: 1, rx_packets: 2, rx_errors: 0, rx_dropped: 0 },
      ...{ tx_bytes: 3, tx_packets: 4, tx_errors: 0, tx_dropped: 0 },
    }
    let live: Record<string, { eth0: typeof counters }> = { a: { eth0: counters }, b: { eth0: counters } }
    let reads = 0
    const told: StatsSample[] = []
    const stats = { all: () => (reads++, live) }
    const metrics = new Metrics(stats, { publishStats: (_, s) => void told.push(s) }, createLogger('test', 'silent'))
    metrics.wake()
    metrics.wake()
    mock.timers.tick(1000)
    assert.deepEqual(
      told.map((s) => ({ source: s.source, id: s.id, networks: s.source === 'network' ? s.networks : undefined })),
      ['a', 'b'].map((id) => ({ source: 'network', id, networks: { eth0: counters } })),
    )
    live = {}
    mock.timers.tick(5000)
    assert.deepEqual([reads, told.length], [2, 2])
    live = { a: { eth0: counters } }
    metrics.wake()
    mock.timers.tick(2000)
    assert.deepEqual([reads, told.length], [4, 4])
    metrics.stop()
    metrics.wake()
    mock.timers.tick(5000)
    assert.equal(reads, 4)
  } finally {
    mock.timers.reset()
  }
})
