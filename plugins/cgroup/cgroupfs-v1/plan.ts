import { join } from 'node:path'
import { cfsOf, deviceLine, keyedLine, type LimitWrite, type Support, swapLimit } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import type { DirOf, V1Files } from './files.ts'

/** What the planner must know of a group's present state to choose a valid order. */
export interface Present {
  /** memory.limit_in_bytes */
  readonly memoryLimit: number
  readonly cfsPeriod: number
  readonly rtPeriod: number
  /** Content of a file of the blkio controller. */
  blkio(file: string): string
}

/** A new group's. */
export const FRESH: Present = { memoryLimit: Infinity, cfsPeriod: 100_000, rtPeriod: 1_000_000, blkio: () => '' }

interface Plan {
  readonly r: Resources
  readonly at: DirOf
  readonly files: V1Files
  readonly present: Present
  readonly device: (path: string) => string
}

/**
 * The writes that give a group its limits, in an order in which the kernel takes them. Limits that this kernel has not got are left
 * out (`check` has warned of them). Files: Documentation/admin-guide/cgroup-v1/.
 */
export function planLimits(
  resources: Resources,
  at: DirOf,
  files: V1Files,
  present: Present,
  device: (path: string) => string,
): LimitWrite[] {
  const plan = { r: resources, at, files, present, device }
  return [
    ...planMemory(plan),
    ...planCpu(plan),
    ...planCpuset(plan),
    ...planPids(plan),
    ...planBlkio(plan),
    ...planHuge(plan),
  ]
}

const file = (plan: Plan, controller: string, name: string): string => join(plan.at(controller) ?? '/', name)

/**
 * The memory limits for the runtime to set once more (linux.resources of the OCI runtime specification): as it joins a group, crun takes
 * those off that it is not told of. Undefined when there are none.
 */
export function runtimeMemory(r: Resources, s: Support): { memory: Record<string, number> } | undefined {
  if (!s.memory) return undefined
  const wanted = {
    limit: r.Memory,
    swap: s.swap ? swapLimit(r) : undefined,
    kernelTCP: s.kernelMemoryTcp ? r.KernelMemoryTCP : undefined,
  }
  const memory = Object.fromEntries(
    Object.entries(wanted).flatMap(([name, value]) => (value ? [[name, value] as const] : [])),
  )
  return Object.keys(memory).length > 0 ? { memory } : undefined
}

/** Memory plus swap can never be less than memory: raise it before, lower it after. */
function planMemory(plan: Plan): LimitWrite[] {
  const { r, present } = plan
  const s = plan.files.support
  const writes: LimitWrite[] = []
  if (!s.memory) return writes
  const memory = r.Memory ?? 0
  const at = (name: string): string => file(plan, 'memory', name)
  const limit: LimitWrite[] =
    memory > 0 ? [{ option: 'memory', file: at('memory.limit_in_bytes'), value: String(memory) }] : []
  const swap = swapLimit(r)
  if (swap !== undefined && s.swap) {
    const write = { option: 'memory-swap', file: at('memory.memsw.limit_in_bytes'), value: String(swap) }
    if (swap === -1 || swap >= present.memoryLimit) writes.push(write, ...limit)
    else writes.push(...limit, write)
  } else {
    writes.push(...limit)
  }
  if ((r.MemoryReservation ?? 0) > 0 && s.reservation) {
    const value = String(r.MemoryReservation)
    writes.push({ option: 'memory-reservation', file: at('memory.soft_limit_in_bytes'), value })
  }
  if ((r.KernelMemoryTCP ?? 0) > 0 && s.kernelMemoryTcp) {
    const value = String(r.KernelMemoryTCP)
    writes.push({ option: 'kernel-memory-tcp', file: at('memory.kmem.tcp.limit_in_bytes'), value })
  }
  if ((r.MemorySwappiness ?? -1) >= 0 && s.swappiness) {
    writes.push({ option: 'memory-swappiness', file: at('memory.swappiness'), value: String(r.MemorySwappiness) })
  }
  if (typeof r.OomKillDisable === 'boolean' && s.oomKillDisable) {
    writes.push({
      option: 'oom-kill-disable',
      file: at('memory.oom_control'),
      value: r.OomKillDisable ? '1' : '0',
      restore: (text) => keyedLine(text, 'oom_kill_disable') ?? '0',
    })
  }
  return writes
}

function planCpu(plan: Plan): LimitWrite[] {
  const { r, present } = plan
  const s = plan.files.support
  const writes: LimitWrite[] = []
  const at = (name: string): string => file(plan, 'cpu', name)
  if ((r.CpuShares ?? 0) > 0 && s.cpuShares) {
    writes.push({ option: 'cpu-shares', file: at('cpu.shares'), value: String(r.CpuShares) })
  }
  if (s.cpuCfs) {
    const { period, quota } = cfsOf(r)
    const pair = [
      ...(period === 0 ? [] : [{ option: 'cpu-period', file: at('cpu.cfs_period_us'), value: String(period) }]),
      ...(quota === 0 ? [] : [{ option: 'cpu-quota', file: at('cpu.cfs_quota_us'), value: String(quota) }]),
    ]
    // A parent's share bounds quota/period: a shorter period goes after its quota, a longer one before it.
    writes.push(...(period !== 0 && period < present.cfsPeriod ? pair.reverse() : pair))
  }
  if (s.cpuRealtime) {
    const period = r.CpuRealtimePeriod ?? 0
    const runtime = r.CpuRealtimeRuntime ?? 0
    const pair = [
      ...(period === 0 ? [] : [{ option: 'cpu-rt-period', file: at('cpu.rt_period_us'), value: String(period) }]),
      ...(runtime === 0 ? [] : [{ option: 'cpu-rt-runtime', file: at('cpu.rt_runtime_us'), value: String(runtime) }]),
    ]
    writes.push(...(period !== 0 && period < present.rtPeriod ? pair.reverse() : pair))
  }
  return writes
}

function planCpuset(plan: Plan): LimitWrite[] {
  const { r } = plan
  if (!plan.files.support.cpuset) return []
  const writes: LimitWrite[] = []
  const cpus = r.CpusetCpus ?? ''
  const mems = r.CpusetMems ?? ''
  if (cpus !== '') writes.push({ option: 'cpuset-cpus', file: file(plan, 'cpuset', 'cpuset.cpus'), value: cpus })
  if (mems !== '') writes.push({ option: 'cpuset-mems', file: file(plan, 'cpuset', 'cpuset.mems'), value: mems })
  return writes
}

function planPids(plan: Plan): LimitWrite[] {
  const limit = plan.r.PidsLimit
  if (typeof limit !== 'number' || !plan.files.support.pids) return []
  const value = limit > 0 ? String(limit) : 'max'
  return [{ option: 'pids-limit', file: file(plan, 'pids', 'pids.max'), value }]
}

const THROTTLES = [
  ['BlkioDeviceReadBps', 'device-read-bps', 'blkio.throttle.read_bps_device'],
  ['BlkioDeviceWriteBps', 'device-write-bps', 'blkio.throttle.write_bps_device'],
  ['BlkioDeviceReadIOps', 'device-read-iops', 'blkio.throttle.read_iops_device'],
  ['BlkioDeviceWriteIOps', 'device-write-iops', 'blkio.throttle.write_iops_device'],
] as const

function planBlkio(plan: Plan): LimitWrite[] {
  const { r } = plan
  const { support, weights } = plan.files
  const writes: LimitWrite[] = []
  if ((r.BlkioWeight ?? 0) > 0 && weights.weight !== undefined) {
    const value = String(r.BlkioWeight)
    // BFQ's file says `default 100` and a line a device.
    const restore = (text: string): string => keyedLine(text, 'default') ?? text.trim()
    writes.push({ option: 'blkio-weight', file: file(plan, 'blkio', weights.weight), value, restore })
  }
  if (r.BlkioWeightDevice && weights.weightDevice !== undefined) {
    const values = new Map(r.BlkioWeightDevice.map((w) => [plan.device(w.Path), w.Weight]))
    writes.push(...perDevice(plan, 'blkio-weight-device', weights.weightDevice, values))
  }
  if (!support.blkioThrottle) return writes
  for (const [field, option, name] of THROTTLES) {
    const list = r[field]
    if (list) writes.push(...perDevice(plan, option, name, new Map(list.map((t) => [plan.device(t.Path), t.Rate]))))
  }
  return writes
}

/** A list replaces the earlier one: devices that it does not name lose their value. */
function perDevice(plan: Plan, option: string, name: string, values: ReadonlyMap<string, number>): LimitWrite[] {
  const path = file(plan, 'blkio', name)
  const earlier = plan.present
    .blkio(name)
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((device) => /^\d+:\d+$/.test(device) && !values.has(device))
  return [...earlier.map((device) => [device, 0] as const), ...values].map(([device, value]) => ({
    option,
    file: path,
    value: `${device} ${value}`,
    restore: deviceLine(device, '0'),
  }))
}

function planHuge(plan: Plan): LimitWrite[] {
  const v1 = plan.at('hugetlb')
  return (plan.r.Hugetlb ?? [])
    .filter(({ PageSize }) => plan.files.support.hugetlb.includes(PageSize))
    .map(({ PageSize, Limit }) => ({
      option: 'hugetlb',
      file:
        v1 === undefined
          ? file(plan, 'unified', `hugetlb.${PageSize}.max`)
          : join(v1, `hugetlb.${PageSize}.limit_in_bytes`),
      value: String(Limit),
    }))
}
