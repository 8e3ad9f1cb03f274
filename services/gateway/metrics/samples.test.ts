import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import type { StatsSample } from '../../../shared/contracts/index.ts'
import { Samples } from './samples.ts'

test('listens from the first scrape until five minutes after the last, and forgets old samples', () => {
  mock.timers.enable({ apis: ['setInterval', 'Date'] })
  try {
    let listening = 0
    let tell: (sample: StatsSample) => void = () => assert.fail('nobody listens')
    const samples = new Samples((handle) => {
      listening += 1
      tell = handle
      return {
        async stop() {
          listening -= 1
        },
      }
    })
    assert.equal(listening, 0)
    samples.want()
    samples.want()
    assert.equal(listening, 1)
    tell({ source: 'network', id: 'a', read: 'now', networks: {} })
    mock.timers.tick(5_000)
    assert.deepEqual(samples.interfaces('a'), {})
    assert.equal(samples.group('a'), undefined)
    mock.timers.tick(5_001)
    assert.equal(samples.interfaces('a'), undefined)

    mock.timers.tick(4 * 60_000)
    samples.want()
    mock.timers.tick(4 * 60_000)
    assert.equal(listening, 1)
    mock.timers.tick(2 * 60_000)
    assert.equal(listening, 0)
    samples.want()
    assert.equal(listening, 1)
  } finally {
    mock.timers.reset()
  }
})
