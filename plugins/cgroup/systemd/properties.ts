import { cfsOf, parseCpuList, type Support, swapLimit } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import { ioWeight, weightOfShares } from '../cgroupfs-v2/plan.ts'

/** A property of a unit: name, D-Bus signature, value. */
export type UnitProperty = readonly [name: string, signature: string, value: unknown]

/** A property in a form that JSON can carry: numbers of 64 bits as text, bytes as a list. */
export type WrittenProperty = readonly [name: string, signature: string, value: string | readonly number[]]

export const writeProperty = ([name, signature, value]: UnitProperty): WrittenProperty =>
  value instanceof Uint8Array ? [name, signature, [...value]] : [name, signature, String(value)]

export const readProperty = ([name, signature, value]: WrittenProperty): UnitProperty => [
  name,
  signature,
  typeof value === 'string' ? BigInt(value) : Uint8Array.from(value),
]

/** systemd's "no limit". */
const INFINITY = 2n ** 64n - 1n

/**
 * Limits as properties of a scope (systemd.resource-control(5)), so that systemd knows them and does not put its own in their
 * place when it reloads. What systemd has no property for is in the group's files alone.
 */
export function unitProperties(r: Resources, version: 1 | 2, support: Support): UnitProperty[] {
  const properties: UnitProperty[] = []
  const { period, quota } = cfsOf(r)
  if (quota !== 0 && support.cpuCfs) {
    properties.push(['CPUQuotaPerSecUSec', 't', quota === -1 ? INFINITY : perSecond(quota, period || 100_000)])
    if (period !== 0) properties.push(['CPUQuotaPeriodUSec', 't', BigInt(period)])
  }
  if (typeof r.PidsLimit === 'number' && support.pids) {
    properties.push(['TasksMax', 't', r.PidsLimit > 0 ? BigInt(r.PidsLimit) : INFINITY])
  }
  return [...properties, ...(version === 1 ? legacy(r, support) : unified(r, support))]
}

/** CPU time a second, in steps of 10 ms as systemd takes it, rounded up. */
export function perSecond(quota: number, period: number): bigint {
  const exact = Math.ceil((quota * 1_000_000) / period)
  return BigInt(Math.ceil(exact / 10_000) * 10_000)
}

function legacy(r: Resources, support: Support): UnitProperty[] {
  const properties: UnitProperty[] = []
  if ((r.Memory ?? 0) > 0 && support.memory) properties.push(['MemoryLimit', 't', BigInt(r.Memory ?? 0)])
  if ((r.CpuShares ?? 0) > 0 && support.cpuShares) properties.push(['CPUShares', 't', BigInt(r.CpuShares ?? 0)])
  if ((r.BlkioWeight ?? 0) > 0 && support.blkioWeight) {
    properties.push(['BlockIOWeight', 't', BigInt(r.BlkioWeight ?? 0)])
  }
  return properties
}

function unified(r: Resources, support: Support): UnitProperty[] {
  const properties: UnitProperty[] = []
  const swap = swapLimit(r)
  if ((r.Memory ?? 0) > 0 && support.memory) properties.push(['MemoryMax', 't', BigInt(r.Memory ?? 0)])
  if (swap !== undefined && support.swap) {
    properties.push(['MemorySwapMax', 't', swap === -1 ? INFINITY : BigInt(Math.max(0, swap - (r.Memory ?? 0)))])
  }
  if ((r.MemoryReservation ?? 0) > 0 && support.reservation) {
    properties.push(['MemoryLow', 't', BigInt(r.MemoryReservation ?? 0)])
  }
  if ((r.CpuShares ?? 0) > 0 && support.cpuShares) {
    properties.push(['CPUWeight', 't', BigInt(weightOfShares(r.CpuShares ?? 0))])
  }
  if (support.cpuset && r.CpusetCpus) properties.push(['AllowedCPUs', 'ay', bitmap(r.CpusetCpus)])
  if (support.cpuset && r.CpusetMems) properties.push(['AllowedMemoryNodes', 'ay', bitmap(r.CpusetMems)])
  if ((r.BlkioWeight ?? 0) > 0 && support.blkioWeight) {
    properties.push(['IOWeight', 't', BigInt(ioWeight(r.BlkioWeight ?? 0))])
  }
  return properties
}

/** A CPU list as bytes, the lowest CPU in the lowest bit of the first. */
export function bitmap(list: string): Uint8Array {
  const numbers = [...(parseCpuList(list) ?? [])]
  const bytes = new Uint8Array((Math.max(...numbers, 0) >> 3) + 1)
  for (const n of numbers) bytes[n >> 3] = (bytes[n >> 3] ?? 0) | (1 << (n & 7))
  return bytes
}
