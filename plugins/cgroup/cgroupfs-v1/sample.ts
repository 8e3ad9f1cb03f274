import type { OpenCounters, PassFacts } from '../../../shared/cgroup/index.ts'
import type { GroupStats } from '../../../shared/contracts/index.ts'
import type { DirOf } from './files.ts'

/** cpuacct.stat counts in USER_HZ, 100 on every architecture that Node runs on. */
const NANOS_PER_TICK = 10_000_000

/** One sample in the form of Docker's API on v1 hosts (moby, daemon/stats_unix.go, statsV1). undefined: the group is gone. */
export function sampleV1(counters: OpenCounters, at: DirOf, pass: PassFacts): GroupStats | undefined {
  const memory = memoryStats(counters, at('memory'), pass)
  const cpu = cpuStats(counters, at, pass)
  const current = counters.number(at('pids'), 'pids.current')
  if (!memory && !cpu && current === undefined) return undefined
  const limit = counters.number(at('pids'), 'pids.max')
  return {
    read: pass.read,
    pids_stats: { current: current ?? 0, ...(limit === undefined || limit === Infinity ? {} : { limit }) },
    cpu_stats: cpu ?? {},
    memory_stats: memory ?? {},
    blkio_stats: blkioStats(counters, at('blkio')),
    oom_kills: counters.keyed(at('memory'), 'memory.oom_control')?.['oom_kill'] ?? 0,
  }
}

function memoryStats(
  counters: OpenCounters,
  dir: string | undefined,
  pass: PassFacts,
): GroupStats['memory_stats'] | undefined {
  const usage = counters.number(dir, 'memory.usage_in_bytes')
  const stats = counters.keyed(dir, 'memory.stat')
  if (usage === undefined || stats === undefined) return undefined
  const limit = counters.number(dir, 'memory.limit_in_bytes') ?? Infinity
  return {
    usage,
    max_usage: counters.number(dir, 'memory.max_usage_in_bytes') ?? 0,
    stats,
    failcnt: counters.number(dir, 'memory.failcnt') ?? 0,
    limit: Math.min(limit, pass.memoryTotal),
  }
}

function cpuStats(counters: OpenCounters, at: DirOf, pass: PassFacts): GroupStats['cpu_stats'] | undefined {
  const total = counters.number(at('cpuacct'), 'cpuacct.usage')
  if (total === undefined) return undefined
  const ticks = counters.keyed(at('cpuacct'), 'cpuacct.stat')
  const perCpu = counters.text(at('cpuacct'), 'cpuacct.usage_percpu')
  const throttling = counters.keyed(at('cpu'), 'cpu.stat')
  return {
    cpu_usage: {
      total_usage: total,
      ...(perCpu === undefined ? {} : { percpu_usage: perCpu.trim().split(/\s+/).map(Number) }),
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

interface BlkioEntry {
  readonly major: number
  readonly minor: number
  readonly op: string
  readonly value: number
}

/** Files by which scheduler counts: CFQ's (until Linux 4.20), else what passed the throttling layer. */
function blkioStats(counters: OpenCounters, dir: string | undefined): GroupStats['blkio_stats'] {
  const first = (...names: string[]): BlkioEntry[] => {
    for (const name of names) {
      const entries = parseBlkio(counters.text(dir, name) ?? '')
      if (entries.length > 0) return entries
    }
    return []
  }
  const service = (what: string): BlkioEntry[] =>
    first(`blkio.${what}_recursive`, `blkio.throttle.${what}_recursive`, `blkio.throttle.${what}`)
  return {
    io_service_bytes_recursive: service('io_service_bytes'),
    io_serviced_recursive: service('io_serviced'),
    io_queue_recursive: first('blkio.io_queued_recursive'),
    io_service_time_recursive: first('blkio.io_service_time_recursive'),
    io_wait_time_recursive: first('blkio.io_wait_time_recursive'),
    io_merged_recursive: first('blkio.io_merged_recursive'),
    io_time_recursive: first('blkio.time_recursive'),
    sectors_recursive: first('blkio.sectors_recursive'),
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
