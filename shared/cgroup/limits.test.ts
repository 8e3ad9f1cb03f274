import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind } from '../errors/index.ts'
import type { Resources } from '../contracts/index.ts'
import { checkLimits } from './limits.ts'
import { NO_SUPPORT, type Support } from './support.ts'

const ALL: Support = {
  memory: true,
  swap: true,
  reservation: true,
  swappiness: true,
  oomKillDisable: true,
  kernelMemoryTcp: true,
  cpuShares: true,
  cpuCfs: true,
  cpuRealtime: true,
  cpuset: true,
  pids: true,
  blkioThrottle: true,
  blkioWeight: true,
  blkioWeightDevice: true,
  hugetlb: ['2MB'],
  freezer: true,
  oomEvents: true,
  cpus: '0-1',
  mems: '0',
  onlineCpus: 2,
}
const device = (): string => '254:0'
const check = (r: Resources, support = ALL, update = false): string[] => checkLimits(r, support, { update, device })

test('wording is that of Docker', () => {
  const cases: [Resources, string][] = [
    [{ Memory: 1 }, 'Minimum memory limit allowed is 6MB'],
    [{ Memory: -1 }, 'Minimum memory limit allowed is 6MB'],
    [{ NanoCpus: 99e9 }, 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
    [{ CpusetCpus: '5' }, 'Requested CPUs are not available - requested 5, available: 0-1'],
    [{ CpusetMems: '0-1' }, 'Requested memory nodes are not available - requested 0-1, available: 0'],
    [{ Memory: 64e6, MemorySwap: 32e6 }, 'Minimum memoryswap limit should be larger than memory limit, see usage'],
    [{ MemorySwap: 32e6 }, 'You should always set the Memory limit when using Memoryswap limit, see usage'],
    [{ MemorySwappiness: 101 }, 'Invalid value: 101, valid memory swappiness range is 0-100'],
    [{ BlkioWeight: 5 }, 'Range of blkio weight is from 10 to 1000'],
    [{ CpuPeriod: 5 }, 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)'],
    [{ CpuQuota: 5 }, 'CPU cfs quota can not be less than 1ms (i.e. 1000)'],
    [{ CpusetCpus: ' 0' }, 'Invalid value  0 for cpuset cpus: invalid format:  0'],
    [{ CpusetMems: '1-0' }, 'Invalid value 1-0 for cpuset mems: invalid format: 1-0'],
    [{ CpusetCpus: '0-9000' }, 'Invalid value 0-9000 for cpuset cpus: value of out range, maximum is 8192'],
  ]
  for (const [resources, message] of cases) {
    assert.throws(
      () => check(resources),
      (e) => isKind(e, 'invalid') && e.message === message,
      message,
    )
  }
})

test('an update may name swap alone, and is not warned of a missing memory limit', () => {
  assert.deepEqual(check({ MemorySwap: 64e6 }, ALL, true), [])
  assert.deepEqual(check({ OomKillDisable: true }, ALL, true), [])
  assert.match(check({ OomKillDisable: true }).join(), /^OOM killer is disabled for the container, but no memory limit/)
})

test('what the kernel has not got is warned of once each, never silently dropped', () => {
  const Path = '/dev/vda'
  const everything: Resources = {
    Memory: 64e6,
    MemorySwap: 128e6,
    MemoryReservation: 32e6,
    MemorySwappiness: 5,
    KernelMemoryTCP: 1e6,
    OomKillDisable: true,
    PidsLimit: 5,
    CpuShares: 5,
    CpuQuota: 5000,
    CpusetCpus: '0',
    BlkioWeight: 100,
    BlkioWeightDevice: [{ Path, Weight: 100 }],
    BlkioDeviceReadBps: [{ Path, Rate: 1 }],
    BlkioDeviceWriteBps: [{ Path, Rate: 1 }],
    BlkioDeviceReadIOps: [{ Path, Rate: 1 }],
    BlkioDeviceWriteIOps: [{ Path, Rate: 1 }],
    Hugetlb: [{ PageSize: '2MB', Limit: 1 }],
  }
  assert.deepEqual(check(everything), [])
  assert.deepEqual(
    check(everything, NO_SUPPORT).map((w) => /([\w-]+( \w+)?)\.$/.exec(w)?.[1]),
    [
      ...['Limitation discarded', 'Limitation discarded', 'Limitation discarded', 'without swap'],
      ...['swappiness discarded', 'OomKillDisable discarded', 'limit discarded', 'Shares discarded'],
      ...['quota discarded', 'Cpuset discarded', 'Weight discarded', 'Weight-device discarded'],
      ...['limit discarded', 'limit discarded', 'limit discarded', 'limit discarded', 'Limitation discarded'],
    ],
  )
  assert.throws(() => check({ NanoCpus: 1e9 }, NO_SUPPORT), /NanoCPUs can not be set/)
  assert.throws(() => check({ CpuRealtimeRuntime: 1 }, NO_SUPPORT), /real-time/)
})

test('memory without swap accounting is warned of, unless swap is unlimited anyway', () => {
  const without = { ...ALL, swap: false }
  assert.match(check({ Memory: 64e6 }, without).join(), /Memory limited without swap\.$/)
  assert.deepEqual(check({ Memory: 64e6, MemorySwap: -1 }, without), [])
})

test('negative numbers are refused where they mean nothing', () => {
  for (const r of [{ CpuShares: -5 }, { MemorySwap: -2 }, { CpuRealtimeRuntime: -1 }, { NanoCpus: -1 }]) {
    assert.throws(
      () => check(r),
      (e) => isKind(e, 'invalid'),
      JSON.stringify(r),
    )
  }
})
