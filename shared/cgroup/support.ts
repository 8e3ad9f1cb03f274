/** What this kernel can limit, found out at probe. `limits.ts` refuses and warns by it, the planners leave out what is not there. */
export interface Support {
  readonly memory: boolean
  readonly swap: boolean
  readonly reservation: boolean
  readonly swappiness: boolean
  readonly oomKillDisable: boolean
  readonly kernelMemoryTcp: boolean
  readonly cpuShares: boolean
  readonly cpuCfs: boolean
  readonly cpuRealtime: boolean
  readonly cpuset: boolean
  readonly pids: boolean
  readonly blkioThrottle: boolean
  readonly blkioWeight: boolean
  readonly blkioWeightDevice: boolean
  /** Page sizes as the files name them (`2MB`). */
  readonly hugetlb: readonly string[]
  readonly freezer: boolean
  readonly oomEvents: boolean
  /** CPUs and memory nodes that a cpuset may name, as lists. */
  readonly cpus: string
  readonly mems: string
  readonly onlineCpus: number
}

export const NO_SUPPORT: Support = {
  memory: false,
  swap: false,
  reservation: false,
  swappiness: false,
  oomKillDisable: false,
  kernelMemoryTcp: false,
  cpuShares: false,
  cpuCfs: false,
  cpuRealtime: false,
  cpuset: false,
  pids: false,
  blkioThrottle: false,
  blkioWeight: false,
  blkioWeightDevice: false,
  hugetlb: [],
  freezer: false,
  oomEvents: false,
  cpus: '',
  mems: '',
  onlineCpus: 1,
}

/** Support as the capabilities of a driver that makes groups by files (shared/drivers/cgroup.ts lists the keys). */
export function capabilitiesOf(version: 1 | 2, s: Support): Record<string, boolean | number> {
  return {
    version,
    systemd: false,
    premade: true,
    memory: s.memory,
    swap: s.swap,
    reservation: s.reservation,
    swappiness: s.swappiness,
    oomKillDisable: s.oomKillDisable,
    kernelMemoryTcp: s.kernelMemoryTcp,
    pids: s.pids,
    cpu: s.cpuShares,
    cpuCfs: s.cpuCfs,
    cpuRealtime: s.cpuRealtime,
    cpuset: s.cpuset,
    blkio: s.blkioThrottle,
    blkioWeight: s.blkioWeight,
    blkioWeightDevice: s.blkioWeightDevice,
    hugetlb: s.hugetlb.length > 0,
    freezer: s.freezer,
    oomEvents: s.oomEvents,
  }
}
