import {
  kept,
  type OpenCounters,
  type PassFacts,
  quietPasses,
  type Reading,
  settled,
  type TakeSample,
} from '../../../shared/cgroup/index.ts'
import type { GroupStats } from '../../../shared/contracts/index.ts'
import type { DirOf } from './files.ts'

/** cpuacct.stat counts in USER_HZ, 100 on every architecture that Node runs on. */
const NANOS_PER_TICK = 10_000_000

/** memory.limit_in_bytes where there is no limit: pages of the largest number, in bytes. */
const UNLIMITED = 2 ** 62
/** The bandwidth timer counts up to two periods (of 1 s at most) after the group's last process has run (kernel/sched/fair.c). */
const TIMER_PASSES = 3

/** Samples in the form of Docker's API on v1 hosts (moby, daemon/stats_unix.go, statsV1). */
export function openV1(counters: OpenCounters, at: DirOf, countBelow: () => number | undefined): TakeSample {
  const readMemory = memoryStats(counters, at('memory'))
  const readCpu = cpuStats(counters, at)
  const quiet = quietPasses()
  const numbers = (text: string): number[] => text.trim().split(/\s+/).map(Number)
  const readPerCpu = counters.parsed(at('cpuacct'), 'cpuacct.usage_percpu', numbers)
  const readCurrent = counters.number(at('pids'), 'pids.current')
  const readLimit = counters.number(at('pids'), 'pids.max')
  const readBlkio = blkioStats(counters, at('blkio'))
  const readOwnOom = counters.keyed(at('memory'), 'memory.oom_control')
  // A process that is killed needs CPU time to die, and a group counts that of those below.
  const readOom = kept(() => countBelow() ?? readOwnOom()?.['oom_kill'])
  const pids = settled<GroupStats['pids_stats']>()
  return (pass) => {
    const perCpu = readPerCpu()
    const passes = quiet(perCpu)
    const memory = readMemory(pass)
    const current = readCurrent()
    if (!memory && !perCpu && current === undefined) return undefined
    const limit = readLimit()
    return {
      read: pass.read,
      pids_stats: pids({ current: current ?? 0, ...(limit === undefined || limit === Infinity ? {} : { limit }) }),
      cpu_stats: perCpu ? readCpu(pass, perCpu, passes) : {},
      memory_stats: memory ?? {},
      blkio_stats: readBlkio(),
      oom_kills: readOom(passes === 0) ?? 0,
    }
  }
}

function memoryStats(
  counters: OpenCounters,
  dir: string | undefined,
): (pass: PassFacts) => GroupStats['memory_stats'] | undefined {
  const readUsage = counters.number(dir, 'memory.usage_in_bytes')
  const readStats = counters.keyed(dir, 'memory.stat')
  const readLimit = counters.number(dir, 'memory.limit_in_bytes')
  const readMax = counters.number(dir, 'memory.max_usage_in_bytes')
  const readFailures = kept(counters.number(dir, 'memory.failcnt'))
  const memory = settled<GroupStats['memory_stats']>()
  return (pass) => {
    const usage = readUsage()
    const stats = readStats()
    if (usage === undefined || stats === undefined) return undefined
    const limit = readLimit() ?? Infinity
    return memory({
      usage,
      max_usage: readMax() ?? 0,
      stats,
      // Counts how often the group's own limit was hit.
      failcnt: readFailures(limit < UNLIMITED) ?? 0,
      limit: Math.min(limit, pass.memoryTotal),
    })
  }
}

function cpuStats(
  counters: OpenCounters,
  at: DirOf,
): (pass: PassFacts, perCpu: readonly number[], quiet: number) => GroupStats['cpu_stats'] {
  const readTicks = kept(counters.keyed(at('cpuacct'), 'cpuacct.stat'))
  const readThrottling = kept(counters.keyed(at('cpu'), 'cpu.stat'))
  return (pass, perCpu, quiet) => {
    const ticks = readTicks(quiet === 0)
    const throttling = readThrottling(quiet < TIMER_PASSES)
    return {
      cpu_usage: {
        // What cpuacct.usage says, too (kernel/sched/cpuacct.c).
        total_usage: perCpu.reduce((sum, usage) => sum + usage, 0),
        percpu_usage: perCpu,
        usage_in_kernelmode: (ticks?.['system'] ?? 0) * NANOS_PER_TICK,
        usage_in_usermode: (ticks?.['user'] ?? 0) * NANOS_PER_TICK,
      },
      system_cpu_usage: pass.systemCpuNanos,
      online_cpus: pass.onlineCpus,
      throttling_data: {
        periods: throttling?.['nr_periods'] ?? 0,
        throttled_periods: throttling?.['nr_throttled'] ?? 0,
        throttled_time: throttling?.['throttled_time'] ?? 0,
      },
    }
  }
}

interface BlkioEntry {
  readonly major: number
  readonly minor: number
  readonly op: string
  readonly value: number
}

const NONE: readonly BlkioEntry[] = []

/** Files by which scheduler counts: CFQ's (until Linux 4.20), else what passed the throttling layer. */
function blkioStats(counters: OpenCounters, dir: string | undefined): () => GroupStats['blkio_stats'] {
  const reading = (name: string): Reading<BlkioEntry[]> => counters.parsed(dir, `blkio.${name}`, parseBlkio)
  const service = (what: string): Reading<BlkioEntry[]> => {
    const readScheduled = reading(`${what}_recursive`)
    const readThrottled = reading(`throttle.${what}_recursive`)
    const readOwn = reading(`throttle.${what}`)
    return () => {
      const scheduled = readScheduled() ?? []
      // What a group counts alone is in what it counts with those below: only old kernels have no file for that.
      return scheduled.length > 0 ? scheduled : (readThrottled() ?? readOwn())
    }
  }
  const readServiced = service('io_serviced')
  const readBytes = kept(service('io_service_bytes'))
  const readings = [
    ['io_queue_recursive', reading('io_queued_recursive')],
    ['io_service_time_recursive', reading('io_service_time_recursive')],
    ['io_wait_time_recursive', reading('io_wait_time_recursive')],
    ['io_merged_recursive', reading('io_merged_recursive')],
    ['io_time_recursive', reading('time_recursive')],
    ['sectors_recursive', reading('sectors_recursive')],
  ] as const
  const blkio = settled<GroupStats['blkio_stats']>()
  let last: readonly BlkioEntry[] | undefined
  return () => {
    const serviced = readServiced()
    // Whose requests are no more than before has not moved a byte more.
    const bytes = readBytes(serviced === undefined || serviced !== last)
    last = serviced
    const stats: GroupStats['blkio_stats'] = {
      io_service_bytes_recursive: bytes ?? NONE,
      io_serviced_recursive: serviced ?? NONE,
    }
    for (const [name, read] of readings) stats[name] = read() ?? NONE
    return blkio(stats)
  }
}

/** `8:0 Read 4096` lines; `8:0 12` where a file does not tell operations apart; the grand total is left out. */
export function parseBlkio(text: string): BlkioEntry[] {
  const entries: BlkioEntry[] = []
  for (const line of text.split('\n')) {
    const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line)
    if (!match) continue
    const [, major, minor, op, value] = match
    entries.push({ major: Number(major), minor: Number(minor), op: op ?? '', value: Number(value) })
  }
  return entries
}
