import { join } from 'node:path'
import { cfsOf, deviceLine, keyedLine, type LimitWrite, swapLimit } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import type { V2Files } from './files.ts'

interface Plan {
  readonly r: Resources
  readonly files: V2Files
  readonly at: (file: string) => string
  /** Content of a file of the group now; '' for a new group. */
  readonly present: (file: string) => string
  readonly device: (path: string) => string
}

/**
 * The writes that give a group its limits. Docker's options are v1's; they are converted as OCI runtimes do (runc,
 * libcontainer/cgroups/fs2; crun, "Cgroup v2"). Limits that v2 or this kernel has not got are left out (`check` has warned of
 * them).
 */
export function planLimits(
  resources: Resources,
  dir: string,
  files: V2Files,
  present: (file: string) => string,
  device: (path: string) => string,
): LimitWrite[] {
  const plan = { r: resources, files, at: (file: string) => join(dir, file), present, device }
  return [...planMemory(plan), ...planCpu(plan), ...planPids(plan), ...planIo(plan), ...planHuge(plan)]
}

function planMemory({ r, files, at }: Plan): LimitWrite[] {
  const s = files.support
  const writes: LimitWrite[] = []
  if (!s.memory) return writes
  const swap = swapMax(r)
  if (swap !== undefined && s.swap) writes.push({ option: 'memory-swap', file: at('memory.swap.max'), value: swap })
  if ((r.Memory ?? 0) > 0) writes.push({ option: 'memory', file: at('memory.max'), value: String(r.Memory) })
  if ((r.MemoryReservation ?? 0) > 0 && s.reservation) {
    writes.push({ option: 'memory-reservation', file: at('memory.low'), value: String(r.MemoryReservation) })
  }
  return writes
}

/** v2 counts swap alone, Docker memory and swap together. */
export function swapMax(r: Resources): string | undefined {
  const total = swapLimit(r)
  if (total === undefined) return undefined
  return total === -1 ? 'max' : String(Math.max(0, total - (r.Memory ?? 0)))
}

/** Shares 2..262144 (1024 is one) to weight 1..10000 (100 is one), linear. */
export const weightOfShares = (shares: number): number => 1 + Math.floor(((shares - 2) * 9999) / 262_142)

/** Block I/O weight 10..1000 to io.weight 1..10000, linear. BFQ keeps v1's scale. */
export const ioWeight = (weight: number): number => 1 + Math.floor(((weight - 10) * 9999) / 990)

function planCpu({ r, files, at, present }: Plan): LimitWrite[] {
  const s = files.support
  const writes: LimitWrite[] = []
  if ((r.CpuShares ?? 0) > 0 && s.cpuShares) {
    const value = String(weightOfShares(r.CpuShares ?? 0))
    writes.push({ option: 'cpu-shares', file: at('cpu.weight'), value })
  }
  const { period, quota } = cfsOf(r)
  if ((period !== 0 || quota !== 0) && s.cpuCfs) {
    const [oldQuota = 'max', oldPeriod = '100000'] = present('cpu.max').trim().split(' ')
    const newQuota = quota === 0 ? oldQuota || 'max' : quota === -1 ? 'max' : String(quota)
    const value = `${newQuota} ${period === 0 ? oldPeriod : period}`
    writes.push({ option: 'cpu-quota', file: at('cpu.max'), value })
  }
  if (s.cpuset) {
    const [cpus, mems] = [r.CpusetCpus ?? '', r.CpusetMems ?? '']
    if (cpus !== '') writes.push({ option: 'cpuset-cpus', file: at('cpuset.cpus'), value: cpus, restore: orNewline })
    if (mems !== '') writes.push({ option: 'cpuset-mems', file: at('cpuset.mems'), value: mems, restore: orNewline })
  }
  return writes
}

/** An empty write is no write; a line feed empties a cpuset file. */
const orNewline = (text: string): string => text.trim() || '\n'

function planPids({ r, files, at }: Plan): LimitWrite[] {
  if (typeof r.PidsLimit !== 'number' || !files.support.pids) return []
  return [{ option: 'pids-limit', file: at('pids.max'), value: r.PidsLimit > 0 ? String(r.PidsLimit) : 'max' }]
}

const THROTTLES = [
  ['BlkioDeviceReadBps', 'device-read-bps', 'rbps'],
  ['BlkioDeviceWriteBps', 'device-write-bps', 'wbps'],
  ['BlkioDeviceReadIOps', 'device-read-iops', 'riops'],
  ['BlkioDeviceWriteIOps', 'device-write-iops', 'wiops'],
] as const

function planIo(plan: Plan): LimitWrite[] {
  const { r, files, at, present, device } = plan
  const writes: LimitWrite[] = []
  if (files.weight !== undefined) {
    const file = at(files.weight)
    const convert = (weight: number): number => (files.weight === 'io.weight' ? ioWeight(weight) : weight)
    if ((r.BlkioWeight ?? 0) > 0) {
      const value = `default ${convert(r.BlkioWeight ?? 0)}`
      const restore = (text: string): string => `default ${keyedLine(text, 'default') ?? '100'}`
      writes.push({ option: 'blkio-weight', file, value, restore })
    }
    if (r.BlkioWeightDevice) {
      const values = new Map(r.BlkioWeightDevice.map((w) => [device(w.Path), convert(w.Weight)]))
      for (const [dev, value] of withoutOthers(present(files.weight), values)) {
        const restore = deviceLine(dev, 'default')
        writes.push({ option: 'blkio-weight-device', file, value: `${dev} ${value ?? 'default'}`, restore })
      }
    }
  }
  if (!files.support.blkioThrottle) return writes
  for (const [field, option, key] of THROTTLES) {
    const list = r[field]
    if (!list) continue
    const values = new Map(list.map((t) => [device(t.Path), t.Rate]))
    for (const [dev, value] of withoutOthers(present('io.max'), values)) {
      const restore = (text: string): string => `${dev} ${key}=${ioMaxOf(text, dev, key)}`
      const rate = value === undefined || value === 0 ? 'max' : String(value)
      writes.push({ option, file: at('io.max'), value: `${dev} ${key}=${rate}`, restore })
    }
  }
  return writes
}

/** A list replaces the earlier one: devices of the file that it does not name get undefined. */
function withoutOthers(text: string, values: ReadonlyMap<string, number>): [string, number | undefined][] {
  const others = text
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((device) => /^\d+:\d+$/.test(device) && !values.has(device))
  return [...others.map((device): [string, undefined] => [device, undefined]), ...values]
}

/** `8:16 rbps=2097152 wbps=max riops=max wiops=120` */
export function ioMaxOf(text: string, device: string, key: string): string {
  const line = keyedLine(text, device) ?? ''
  return new RegExp(`(?:^| )${key}=(\\S+)`).exec(line)?.[1] ?? 'max'
}

function planHuge({ r, files, at }: Plan): LimitWrite[] {
  return (r.Hugetlb ?? [])
    .filter(({ PageSize }) => files.support.hugetlb.includes(PageSize))
    .map(({ PageSize, Limit }) => ({ option: 'hugetlb', file: at(`hugetlb.${PageSize}.max`), value: String(Limit) }))
}
