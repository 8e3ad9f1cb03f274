import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Resources } from '../../../shared/contracts/index.ts'
import { RecordedCgroups } from '../../../test/support/recorded-cgroups.ts'
import { enableControllers } from './controllers.ts'
import { inspectFiles, type V2Files } from './files.ts'
import { ioMaxOf, ioWeight, planLimits, swapMax, weightOfShares } from './plan.ts'
import { ioStats } from './sample.ts'

let fs: RecordedCgroups
let files: V2Files

before(() => {
  fs = new RecordedCgroups('v2')
  enableControllers(fs, fs.root, [], ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'])
  fs.mkdir(`${fs.root}/g`)
  files = inspectFiles(fs, fs.root, '/g')
})
after(() => fs.dispose())

function plan(resources: Resources, present: Record<string, string> = {}): string[] {
  const read = (file: string): string => present[file] ?? ''
  return planLimits(resources, '/g', files, read, (path) => fs.blockDevice(path)).map(
    (w) => `${w.file.replace('/g/', '')}=${w.value}`,
  )
}

test('everything at once', () => {
  const Path = '/dev/vda'
  assert.deepEqual(
    plan({
      Memory: 64e6,
      MemorySwap: 96e6,
      MemoryReservation: 32e6,
      MemorySwappiness: 10,
      OomKillDisable: true,
      CpuShares: 512,
      NanoCpus: 1.5e9,
      CpusetCpus: '0-1',
      CpusetMems: '0',
      PidsLimit: 33,
      BlkioWeight: 300,
      BlkioWeightDevice: [{ Path, Weight: 400 }],
      BlkioDeviceReadBps: [{ Path, Rate: 1 }],
      BlkioDeviceWriteBps: [{ Path, Rate: 2 }],
      BlkioDeviceReadIOps: [{ Path, Rate: 3 }],
      BlkioDeviceWriteIOps: [{ Path, Rate: 4 }],
      Hugetlb: [{ PageSize: '2MB', Limit: 4e6 }],
    }),
    [
      'memory.swap.max=32000000',
      'memory.max=64000000',
      'memory.low=32000000',
      'cpu.weight=20',
      'cpu.max=150000 100000',
      'cpuset.cpus=0-1',
      'cpuset.mems=0',
      'pids.max=33',
      'io.bfq.weight=default 300',
      'io.bfq.weight=254:0 400',
      'io.max=254:0 rbps=1',
      'io.max=254:0 wbps=2',
      'io.max=254:0 riops=3',
      'io.max=254:0 wiops=4',
      'hugetlb.2MB.max=4000000',
    ],
  )
})

test('weights are converted as OCI runtimes do', () => {
  assert.deepEqual([2, 512, 1024, 262_144].map(weightOfShares), [1, 20, 39, 10_000])
  assert.deepEqual([10, 300, 1000].map(ioWeight), [1, 2930, 10_000])
})

test('swap alone is what is left of memory and swap', () => {
  assert.equal(swapMax({ Memory: 100, MemorySwap: 100 }), '0')
  assert.equal(swapMax({ Memory: 100 }), '100')
  assert.equal(swapMax({ Memory: 100, MemorySwap: -1 }), 'max')
  assert.equal(swapMax({}), undefined)
})

test('a quota without a period keeps the present one, and the other way round', () => {
  assert.deepEqual(plan({ CpuQuota: 5000 }, { 'cpu.max': 'max 50000' }), ['cpu.max=5000 50000'])
  assert.deepEqual(plan({ CpuPeriod: 20_000 }, { 'cpu.max': '7000 50000' }), ['cpu.max=7000 20000'])
  assert.deepEqual(plan({ CpuPeriod: 20_000 }), ['cpu.max=max 20000'])
  assert.deepEqual(plan({ CpuQuota: -1 }, { 'cpu.max': '7000 50000' }), ['cpu.max=max 50000'])
})

test('devices that a new list does not name lose their limit', () => {
  const present = { 'io.max': '254:0 rbps=5 wbps=max riops=max wiops=9\n254:16 rbps=6 wbps=max riops=max wiops=max\n' }
  assert.deepEqual(plan({ BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: 7 }] }, present), [
    'io.max=254:16 rbps=max',
    'io.max=254:0 rbps=7',
  ])
  assert.equal(ioMaxOf(present['io.max'], '254:0', 'wiops'), '9')
  assert.equal(ioMaxOf(present['io.max'], '254:0', 'riops'), 'max')
  assert.equal(ioMaxOf('', '254:0', 'rbps'), 'max')
})

test('io.stat as Docker shows it', () => {
  const { io_service_bytes_recursive } = ioStats(
    '8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n',
  )
  assert.deepEqual(io_service_bytes_recursive, [
    { major: 8, minor: 16, op: 'read', value: 1459200 },
    { major: 8, minor: 16, op: 'write', value: 314773504 },
  ])
})

test('controllers are not handed down where processes live, and the error says what to do', () => {
  fs.mkdir(`${fs.root}/busy`)
  fs.write(`${fs.root}/busy/cgroup.procs`, '7')
  assert.throws(
    () => enableControllers(fs, fs.root, ['/busy'], ['memory']),
    /processes live in that group.*cgroup parent/,
  )
})
