import { capabilities } from './security.ts'
import { parseRestartPolicy } from './restart.ts'
import type { HostConfig } from './schema.ts'

/** What defaults depend on. */
export interface Facilities {
  readonly runtime: string
  readonly logDriver: string
  readonly logOptions: Readonly<Record<string, string>>
  /** cgroup v2: containers get a cgroup namespace of their own, as Docker does it. */
  readonly cgroupV2: boolean
}

export const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
const SHM_SIZE = 64 * 1024 * 1024

/** What shares the host's namespaces or is privileged has no SELinux label; Docker writes that out, labels or not. */
function withoutLabel({ SecurityOpt = [], Privileged, PidMode, IpcMode }: HostConfig): string[] {
  const unlabelled = Privileged === true || PidMode === 'host' || IpcMode === 'host'
  return unlabelled && !SecurityOpt.some((option) => option.startsWith('label')) ? ['label=disable'] : []
}

/** A HostConfig with every default written out, as inspect shows it. */
export function withDefaults(given: HostConfig, facilities: Facilities): HostConfig {
  const log = given.LogConfig ?? {}
  const driver = log.Type || facilities.logDriver
  const memory = given.Memory ?? 0
  const options = driver === facilities.logDriver ? { ...facilities.logOptions, ...log.Config } : { ...log.Config }
  const mode = given.NetworkMode
  const { MemorySwappiness: swappiness = -1, PidsLimit: pids = 0, ...rest } = given
  return {
    ...rest,
    // -1 and 0 are the CLI's "not given", which inspect shows as null.
    ...(swappiness < 0 ? {} : { MemorySwappiness: swappiness }),
    ...(pids <= 0 ? {} : { PidsLimit: pids }),
    Memory: memory,
    // Twice the memory, unless said otherwise (docker run --memory).
    MemorySwap: given.MemorySwap || (memory > 0 ? memory * 2 : 0),
    NetworkMode: mode === undefined || mode === '' || mode === 'default' ? 'bridge' : mode,
    RestartPolicy: parseRestartPolicy(given.RestartPolicy),
    LogConfig: { Type: driver, Config: options },
    Runtime: given.Runtime || facilities.runtime,
    ShmSize: given.ShmSize || SHM_SIZE,
    IpcMode: given.IpcMode || 'private',
    CgroupnsMode: given.CgroupnsMode || (facilities.cgroupV2 ? 'private' : 'host'),
    SecurityOpt: [...(given.SecurityOpt ?? []), ...withoutLabel(given)],
    CapAdd: capabilities('CapAdd', given.CapAdd ?? []),
    CapDrop: capabilities('CapDrop', given.CapDrop ?? []),
    MaskedPaths: given.MaskedPaths ?? (given.Privileged ? [] : MASKED_PATHS),
    ReadonlyPaths: given.ReadonlyPaths ?? (given.Privileged ? [] : READONLY_PATHS),
  }
}
