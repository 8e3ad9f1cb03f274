import assert from 'node:assert/strict'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { OpenCounters, passFacts } from '../../../shared/cgroup/index.ts'
import { findHierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import { RecordedCgroups } from '../../../test/support/recorded-cgroups.ts'
import { dirOf } from './files.ts'
import { openV1, parseBlkio } from './sample.ts'

let fs: RecordedCgroups
before(() => (fs = new RecordedCgroups('v1')))
after(() => fs.dispose())

test('counters in the form that a dockerd 20.10 gives on the same kernel', () => {
  const hierarchies = findHierarchies(fs, fs.root)
  for (const root of hierarchies.v1.values()) fs.mkdir(join(root, 'g'))
  const set = (file: string, text: string): void => fs.set(join(fs.root, file), text)
  set('memory/g/memory.usage_in_bytes', '643072')
  set('memory/g/memory.max_usage_in_bytes', '3559424')
  set('memory/g/memory.failcnt', '3')
  set(
    'memory/g/memory.stat',
    'cache 0\nrss 57344\ntotal_inactive_file 4096\nhierarchical_memory_limit 9223372036854771712',
  )
  set('cpuacct/g/cpuacct.usage_percpu', '3280985 20898876 ')
  set('cpuacct/g/cpuacct.stat', 'user 1\nsystem 2')
  set('cpu/g/cpu.stat', 'nr_periods 7\nnr_throttled 4\nthrottled_time 184158439')
  set('pids/g/pids.current', '1')
  set('pids/g/pids.max', '44')
  set('blkio/g/blkio.throttle.io_service_bytes_recursive', '254:0 Read 4096\n254:0 Total 4096\nTotal 4096')
  const counters = new OpenCounters(fs, { left: 100 })
  const pass = passFacts(fs)
  assert.deepEqual(openV1(counters, dirOf(hierarchies, '/g'), () => undefined)(pass), {
    read: pass.read,
    pids_stats: { current: 1, limit: 44 },
    cpu_stats: {
      cpu_usage: {
        total_usage: 24179861,
        percpu_usage: [3280985, 20898876],
        usage_in_kernelmode: 20_000_000,
        usage_in_usermode: 10_000_000,
      },
      system_cpu_usage: 1_000_000_000,
      online_cpus: 2,
      throttling_data: { periods: 7, throttled_periods: 4, throttled_time: 184158439 },
    },
    memory_stats: {
      usage: 643072,
      max_usage: 3559424,
      stats: { cache: 0, rss: 57344, total_inactive_file: 4096, hierarchical_memory_limit: 9223372036854771712 },
      failcnt: 3,
      limit: 8 * 2 ** 30,
    },
    blkio_stats: {
      io_service_bytes_recursive: [
        { major: 254, minor: 0, op: 'Read', value: 4096 },
        { major: 254, minor: 0, op: 'Total', value: 4096 },
      ],
      io_serviced_recursive: [],
      io_queue_recursive: [],
      io_service_time_recursive: [],
      io_wait_time_recursive: [],
      io_merged_recursive: [],
      io_time_recursive: [],
      sectors_recursive: [],
    },
    oom_kills: 0,
  })
  counters.close()
})

test('a group that is gone has no sample', () => {
  const counters = new OpenCounters(fs, { left: 100 })
  assert.equal(
    openV1(counters, dirOf(findHierarchies(fs, fs.root), '/gone'), () => undefined)(passFacts(fs)),
    undefined,
  )
})

test('lines with and without an operation, the grand total left out', () => {
  assert.deepEqual(parseBlkio('8:0 Sync 5\n8:16 7\nTotal 12\n'), [
    { major: 8, minor: 0, op: 'Sync', value: 5 },
    { major: 8, minor: 16, op: '', value: 7 },
  ])
})

test('of an idle group only what others can change is read again; all else as soon as it runs', (t) => {
  const { v1 } = findHierarchies(fs, fs.root)
  for (const root of v1.values()) fs.mkdir(join(root, 'idle'))
  const reads: string[] = []
  const open = fs.open.bind(fs)
  t.mock.method(fs, 'open', (path: string) => {
    const file = open(path)
    return file && { read: () => (reads.push(basename(path)), file.read()), close: () => file.close() }
  })
  const counters = new OpenCounters(fs, { left: 100 })
  const at = dirOf({ v1, v2: undefined, v2Controllers: [] }, '/idle')
  const take = openV1(counters, at, () => undefined)
  const pass = (): unknown => (reads.splice(0), take(passFacts(fs)))
  pass()
  const all = [...reads]
  const first = pass() as { memory_stats: object }
  for (let i = 0; i < 3; i++) pass()
  const ofMemory = ['memory.usage_in_bytes', 'memory.stat', 'memory.limit_in_bytes', 'memory.max_usage_in_bytes']
  const idle = ['cpuacct.usage_percpu', ...ofMemory, 'pids.current', 'pids.max', 'blkio.throttle.io_serviced_recursive']
  assert.deepEqual(reads.sort(), idle.sort())
  fs.set(join(at('memory') ?? '', 'memory.limit_in_bytes'), '1048576')
  const limited = pass() as { memory_stats: object }
  assert.ok(reads.includes('memory.failcnt'))
  assert.notEqual(limited.memory_stats, first.memory_stats)
  assert.equal(
    (pass() as { memory_stats: object }).memory_stats,
    limited.memory_stats,
    'the same object: nothing changed',
  )
  fs.set(join(at('blkio') ?? '', 'blkio.throttle.io_serviced_recursive'), '254:0 Read 1')
  fs.useCpu('/idle')
  pass()
  assert.deepEqual(reads.sort(), all.sort())
  counters.close()
})
