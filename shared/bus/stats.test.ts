import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CgroupSample } from '../contracts/index.ts'
import { encodeSample } from './stats.ts'

test('a sample is the JSON that it was, with the same parts and with new ones', () => {
  const memory_stats = { usage: 5, stats: { 'a"b': 1 } }
  const sample: CgroupSample = {
    ...{ source: 'cgroup', id: 'ab', read: 'now', pids_stats: { current: 1 }, cpu_stats: {}, memory_stats },
    ...{ blkio_stats: { io_serviced_recursive: [], io_queue_recursive: null }, oom_kills: 0 },
  }
  const decoded = (s: CgroupSample): unknown => JSON.parse(Buffer.from(encodeSample(s)).toString())
  assert.deepEqual(decoded(sample), sample)
  const next = { ...sample, read: 'later', memory_stats: { usage: 6, stats: memory_stats.stats }, oom_kills: 1 }
  assert.deepEqual(decoded(next), next)
  assert.deepEqual(decoded(sample), sample)
})
