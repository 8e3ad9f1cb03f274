import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findHierarchies, type Hierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import { RecordedCgroups } from '../../../test/support/recorded-cgroups.ts'
import { dirOf, inspectFiles, type V1Files } from './files.ts'
import { FRESH, planLimits, type Present, runtimeMemory } from './plan.ts'

let fs: RecordedCgroups
let hierarchies: Hierarchies
let files: V1Files

before(() => {
  fs = new RecordedCgroups('v1')
  hierarchies = findHierarchies(fs, fs.root)
  for (const root of hierarchies.v1.values()) fs.mkdir(`${root}/g`)
  files = inspectFiles(fs, hierarchies, '/g')
})
after(() => fs.dispose())

function plan(resources: Resources, present: Partial<Present> = {}): string[] {
  const device = (path: string): string => fs.blockDevice(path)
  const writes = planLimits(resources, dirOf(hierarchies, '/g'), files, { ...FRESH, ...present }, device)
  return writes.map((w) => `${w.file.slice(fs.root.length).replace('/g/', '/')}=${w.value}`)
}

test('everything at once', () => {
  const Path = '/dev/vda'
  assert.deepEqual(
    plan({
      Memory: 64e6,
      MemorySwap: 96e6,
      MemoryReservation: 32e6,
      MemorySwappiness: 0,
      KernelMemoryTCP: 1e6,
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
      '/memory/memory.limit_in_bytes=64000000',
      '/memory/memory.memsw.limit_in_bytes=96000000',
      '/memory/memory.soft_limit_in_bytes=32000000',
      '/memory/memory.kmem.tcp.limit_in_bytes=1000000',
      '/memory/memory.swappiness=0',
      '/memory/memory.oom_control=1',
      '/cpu/cpu.shares=512',
      '/cpu/cpu.cfs_period_us=100000',
      '/cpu/cpu.cfs_quota_us=150000',
      '/cpuset/cpuset.cpus=0-1',
      '/cpuset/cpuset.mems=0',
      '/pids/pids.max=33',
      '/blkio/blkio.bfq.weight=300',
      '/blkio/blkio.bfq.weight_device=254:0 400',
      '/blkio/blkio.throttle.read_bps_device=254:0 1',
      '/blkio/blkio.throttle.write_bps_device=254:0 2',
      '/blkio/blkio.throttle.read_iops_device=254:0 3',
      '/blkio/blkio.throttle.write_iops_device=254:0 4',
      '/hugetlb/hugetlb.2MB.limit_in_bytes=4000000',
    ],
  )
})

test('nothing named, nothing written', () => {
  assert.deepEqual(plan({}), [])
  assert.deepEqual(plan({ Memory: 0, PidsLimit: null, MemorySwappiness: -1, OomKillDisable: null, CpusetCpus: '' }), [])
})

test('memory plus swap goes first when it rises above the present memory limit, else last', () => {
  const order = (memory: number, swap: number, present: number): string[] =>
    plan({ Memory: memory, MemorySwap: swap }, { memoryLimit: present }).map((w) =>
      w.includes('memsw') ? 'swap' : 'memory',
    )
  assert.deepEqual(order(100, 200, 50), ['swap', 'memory'])
  assert.deepEqual(order(20, 30, 50), ['memory', 'swap'])
  assert.deepEqual(order(20, -1, 50), ['swap', 'memory'])
  assert.deepEqual(order(20, 30, Infinity), ['memory', 'swap'])
})

test('a shorter period goes after its quota', () => {
  const order = (period: number): string[] =>
    plan({ CpuPeriod: period, CpuQuota: 5000 }, { cfsPeriod: 100_000 }).map((w) => w.replace(/.*cfs_(\w+)_us=.*/, '$1'))
  assert.deepEqual(order(50_000), ['quota', 'period'])
  assert.deepEqual(order(200_000), ['period', 'quota'])
})

test('devices that a new list does not name lose their limit', () => {
  const present = { blkio: (file: string) => (file.includes('read_bps') ? '254:0 5\n254:16 6\n' : '') }
  assert.deepEqual(plan({ BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: 9 }] }, present), [
    '/blkio/blkio.throttle.read_bps_device=254:16 0',
    '/blkio/blkio.throttle.read_bps_device=254:0 9',
  ])
})

test('what the runtime is to set once more: the limits of memory, and nothing where there are none', () => {
  const of = (resources: Resources) => runtimeMemory(resources, files.support)
  assert.deepEqual(of({ Memory: 64e6 }), { memory: { limit: 64e6, swap: 128e6 } })
  assert.deepEqual(of({ Memory: 64e6, MemorySwap: -1 }), { memory: { limit: 64e6, swap: -1 } })
  assert.deepEqual(of({ KernelMemoryTCP: 1e6 }), { memory: { kernelTCP: 1e6 } })
  assert.equal(of({ Memory: 0, CpuShares: 5, MemoryReservation: 32e6 }), undefined)
})
