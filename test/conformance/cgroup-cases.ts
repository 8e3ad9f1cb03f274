import type { Resources } from '../../shared/contracts/index.ts'

/*
 * Tables of the cgroup conformance suite.
 */

export const MiB = 1024 * 1024

/** Title, capabilities needed, limits asked for, and those expected in the kernel where they differ. */
export const LIMITS: [string, readonly string[], Resources, Resources?][] = [
  ['memory', ['memory'], { Memory: 64 * MiB }],
  ['memory and swap', ['memory', 'swap'], { Memory: 64 * MiB, MemorySwap: 96 * MiB }],
  ['memory without swap', ['memory', 'swap'], { Memory: 64 * MiB, MemorySwap: 64 * MiB }],
  ['as much swap as memory by default', ['memory', 'swap'], { Memory: 64 * MiB }, { MemorySwap: 128 * MiB }],
  ['unlimited swap', ['memory', 'swap'], { Memory: 64 * MiB, MemorySwap: -1 }],
  ['memory reservation', ['reservation'], { MemoryReservation: 32 * MiB }],
  ['swappiness', ['swappiness'], { MemorySwappiness: 7 }],
  ['OOM killer off', ['oomKillDisable', 'memory'], { Memory: 64 * MiB, OomKillDisable: true }],
  ['kernel TCP memory', ['kernelMemoryTcp'], { KernelMemoryTCP: 16 * MiB }],
  ['CPU shares', ['cpu'], { CpuShares: 512 }],
  ['CPU quota and period', ['cpuCfs'], { CpuPeriod: 50_000, CpuQuota: 20_000 }],
  ['CPU quota alone', ['cpuCfs'], { CpuQuota: 30_000 }],
  ['a CPU quota below 0 is unlimited', ['cpuCfs'], { CpuQuota: -5 }],
  ['--cpus', ['cpuCfs'], { NanoCpus: 500_000_000 }, { CpuPeriod: 100_000, CpuQuota: 50_000 }],
  ['real-time', ['cpuRealtime'], { CpuRealtimePeriod: 500_000, CpuRealtimeRuntime: 2000 }],
  ['CPUs and memory nodes', ['cpuset'], { CpusetCpus: '1', CpusetMems: '0' }],
  ['pids', ['pids'], { PidsLimit: 33 }],
  ['pids: 0 and -1 are unlimited', ['pids'], { PidsLimit: -1 }],
  ['block I/O weight', ['blkioWeight'], { BlkioWeight: 300 }],
  ['huge pages', ['hugetlb'], { Hugetlb: [{ PageSize: '2MB', Limit: 8 * MiB }] }],
]

/** Title, capabilities needed, limits, and what the refusal says. */
export const REFUSED: [string, readonly string[], Resources, RegExp][] = [
  ['memory below 6 MB', [], { Memory: MiB }, /Minimum memory limit allowed is 6MB/],
  ['reservation below 6 MB', [], { MemoryReservation: MiB }, /Minimum memory reservation allowed is 6MB/],
  ['reservation above memory', [], { Memory: 64 * MiB, MemoryReservation: 65 * MiB }, /less than memory reservation/],
  ['memory+swap below memory', ['swap'], { Memory: 64 * MiB, MemorySwap: 32 * MiB }, /larger than memory limit/],
  ['swap without memory', [], { MemorySwap: 64 * MiB }, /always set the Memory limit/],
  ['swappiness out of range', [], { MemorySwappiness: 101 }, /valid memory swappiness range is 0-100/],
  ['--cpus and a period', [], { NanoCpus: 1e9, CpuPeriod: 100_000 }, /Nano CPUs and CPU Period cannot both be set/],
  ['--cpus and a quota', [], { NanoCpus: 1e9, CpuQuota: 100_000 }, /Nano CPUs and CPU Quota cannot both be set/],
  ['more CPUs than there are', ['cpuCfs'], { NanoCpus: 99_999e9 }, /Range of CPUs is from 0\.01 to \d+\.00/],
  ['period out of range', [], { CpuPeriod: 999 }, /CPU cfs period can not be less than 1ms/],
  ['quota out of range', [], { CpuQuota: 999 }, /CPU cfs quota can not be less than 1ms/],
  ['shares out of range', [], { CpuShares: 262_145 }, /maximum allowed cpu-shares/],
  ['a CPU that is not there', ['cpuset'], { CpusetCpus: '8000' }, /Requested CPUs are not available - requested 8000/],
  ['a node that is not there', ['cpuset'], { CpusetMems: '900' }, /Requested memory nodes are not available/],
  ['no list of CPUs', [], { CpusetCpus: '1-x' }, /Invalid value 1-x for cpuset cpus/],
  ['too many pids', ['pids'], { PidsLimit: 5_000_000 }, /pids limit 5000000/],
  ['weight out of range', [], { BlkioWeight: 9 }, /Range of blkio weight is from 10 to 1000/],
  ['no such device', [], { BlkioDeviceReadBps: [{ Path: '/dev/nope', Rate: 1 }] }, /device-read-bps.*\/dev\/nope/],
  ['no block device', [], { BlkioDeviceWriteIOps: [{ Path: '/tmp', Rate: 1 }] }, /device-write-iops.*\/tmp/],
  ['no such page size', ['hugetlb'], { Hugetlb: [{ PageSize: '3MB', Limit: 1 }] }, /page size 3MB/],
]

/** A capability, and limits that are warned of without it. */
export const WARNED: [string, Resources][] = [
  ['memory', { Memory: 64 * MiB, MemorySwap: -1 }],
  ['reservation', { MemoryReservation: 64 * MiB }],
  ['swappiness', { MemorySwappiness: 5 }],
  ['oomKillDisable', { OomKillDisable: true }],
  ['kernelMemoryTcp', { KernelMemoryTCP: MiB }],
  ['cpu', { CpuShares: 10 }],
  ['cpuset', { CpusetCpus: '0' }],
  ['pids', { PidsLimit: 5 }],
  ['blkioWeight', { BlkioWeight: 10 }],
  ['hugetlb', { Hugetlb: [{ PageSize: '2MB', Limit: 1 }] }],
]
