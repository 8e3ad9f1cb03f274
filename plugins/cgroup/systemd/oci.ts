import { cfsOf, type Support, swapLimit } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'

type Part = Record<string, unknown>

/**
 * Limits as linux.resources of the OCI runtime specification (config-linux.md, "Control groups"): the runtime sets them when it
 * makes the scope. Those that this kernel has not got are left out.
 */
export function ociResources(r: Resources, support: Support, device: (path: string) => string): Part {
  return {
    ...part('memory', memory(r, support)),
    ...part('cpu', cpu(r, support)),
    // Always: systemd's own default is a limit.
    ...part('pids', support.pids ? { limit: (r.PidsLimit ?? 0) > 0 ? r.PidsLimit : -1 } : {}),
    ...part('blockIO', blockIo(r, support, device)),
    ...(support.hugetlb.length > 0 && (r.Hugetlb ?? []).length > 0
      ? { hugepageLimits: r.Hugetlb?.map(({ PageSize, Limit }) => ({ pageSize: PageSize, limit: Limit })) }
      : {}),
  }
}

const part = (name: string, value: Part): Part => (Object.keys(value).length > 0 ? { [name]: value } : {})

/** Those members that are set, to something other than 0. */
const set = (value: Part): Part =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined && v !== 0 && v !== '' && v !== null))

function memory(r: Resources, s: Support): Part {
  if (!s.memory) return {}
  const swappiness = r.MemorySwappiness ?? -1
  return {
    ...set({
      limit: r.Memory,
      reservation: s.reservation ? r.MemoryReservation : 0,
      swap: s.swap ? swapLimit(r) : 0,
      disableOOMKiller: s.oomKillDisable && r.OomKillDisable === true ? true : undefined,
    }),
    ...(swappiness >= 0 && s.swappiness ? { swappiness } : {}),
  }
}

function cpu(r: Resources, s: Support): Part {
  const { period, quota } = cfsOf(r)
  return set({
    shares: s.cpuShares ? r.CpuShares : 0,
    quota: s.cpuCfs ? quota : 0,
    period: s.cpuCfs ? period : 0,
    realtimeRuntime: s.cpuRealtime ? r.CpuRealtimeRuntime : 0,
    realtimePeriod: s.cpuRealtime ? r.CpuRealtimePeriod : 0,
    cpus: s.cpuset ? r.CpusetCpus : '',
    mems: s.cpuset ? r.CpusetMems : '',
  })
}

function blockIo(r: Resources, s: Support, device: (path: string) => string): Part {
  const numbers = (path: string): { major: number; minor: number } => {
    const [major = 0, minor = 0] = device(path).split(':').map(Number)
    return { major, minor }
  }
  const rates = (list: Resources['BlkioDeviceReadBps']): Part[] | undefined =>
    s.blkioThrottle && list && list.length > 0
      ? list.map(({ Path, Rate }) => ({ ...numbers(Path), rate: Rate }))
      : undefined
  const weights = s.blkioWeightDevice ? (r.BlkioWeightDevice ?? []) : []
  return set({
    weight: s.blkioWeight ? r.BlkioWeight : 0,
    weightDevice: weights.length > 0 ? weights.map((w) => ({ ...numbers(w.Path), weight: w.Weight })) : undefined,
    throttleReadBpsDevice: rates(r.BlkioDeviceReadBps),
    throttleWriteBpsDevice: rates(r.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: rates(r.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: rates(r.BlkioDeviceWriteIOps),
  })
}
