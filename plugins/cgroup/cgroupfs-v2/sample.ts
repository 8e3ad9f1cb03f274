import {
  kept,
  type OpenCounters,
  parseKeyed,
  type PassFacts,
  quietPasses,
  settled,
  type TakeSample,
} from '../../../shared/cgroup/index.ts'
import type { GroupStats } from '../../../shared/contracts/index.ts'

/** What Docker shows of memory.stat (moby, daemon/stats_unix.go, statsV2). */
const MEMORY_STATS = [
  ...[
    'anon',
    'file',
    'kernel_stack',
    'slab',
    'sock',
    'shmem',
    'file_mapped',
    'file_dirty',
    'file_writeback',
    'anon_thp',
  ],
  ...['inactive_anon', 'active_anon', 'inactive_file', 'active_file', 'unevictable', 'slab_reclaimable'],
  ...['slab_unreclaimable', 'pgfault', 'pgmajfault', 'workingset_refault', 'workingset_activate'],
  ...['workingset_nodereclaim', 'pgrefill', 'pgscan', 'pgsteal', 'pgactivate', 'pgdeactivate', 'pglazyfree'],
  ...['pglazyfreed', 'thp_fault_alloc', 'thp_collapse_alloc'],
] as const

/** Samples in the form of Docker's API on v2 hosts. */
export function openV2(counters: OpenCounters, dir: string): TakeSample {
  const readCpu = counters.keyed(dir, 'cpu.stat')
  const readCurrent = counters.number(dir, 'pids.current')
  const readLimit = counters.number(dir, 'pids.max')
  // What it counts, a process does that runs, or needs CPU time to die.
  const readEvents = kept(counters.keyed(dir, 'memory.events'))
  const quiet = quietPasses()
  const pids = settled<GroupStats['pids_stats']>()
  const readMemory = memoryStats(counters, dir)
  const readIo = counters.parsed(dir, 'io.stat', ioStats)
  return (pass) => {
    const cpu = readCpu()
    if (!cpu) return undefined
    const limit = readLimit()
    const events = readEvents(quiet(cpu) === 0)
    return {
      read: pass.read,
      pids_stats: pids({
        current: readCurrent() ?? 0,
        ...(limit === undefined || limit === Infinity ? {} : { limit }),
      }),
      cpu_stats: {
        cpu_usage: {
          total_usage: (cpu['usage_usec'] ?? 0) * 1000,
          usage_in_kernelmode: (cpu['system_usec'] ?? 0) * 1000,
          usage_in_usermode: (cpu['user_usec'] ?? 0) * 1000,
        },
        system_cpu_usage: pass.systemCpuNanos,
        online_cpus: pass.onlineCpus,
        throttling_data: {
          periods: cpu['nr_periods'] ?? 0,
          throttled_periods: cpu['nr_throttled'] ?? 0,
          throttled_time: (cpu['throttled_usec'] ?? 0) * 1000,
        },
      },
      memory_stats: readMemory(pass, events?.['oom']),
      blkio_stats: readIo() ?? ioStats(''),
      oom_kills: events?.['oom_kill'] ?? 0,
    }
  }
}

function memoryStats(counters: OpenCounters, dir: string) {
  const readUsage = counters.number(dir, 'memory.current')
  const readStats = counters.parsed(dir, 'memory.stat', parseMemoryStats)
  const readLimit = counters.number(dir, 'memory.max')
  const memory = settled<GroupStats['memory_stats']>()
  return (pass: PassFacts, failures: number | undefined): GroupStats['memory_stats'] => {
    const usage = readUsage()
    const stats = readStats()
    if (usage === undefined || !stats) return {}
    return memory({
      usage,
      stats,
      ...(failures === undefined ? {} : { failcnt: failures }),
      limit: Math.min(readLimit() ?? Infinity, pass.memoryTotal),
    })
  }
}

function parseMemoryStats(text: string): Record<string, number> {
  const all = parseKeyed(text)
  const stats: Record<string, number> = {}
  for (const key of MEMORY_STATS) stats[key] = all[key] ?? 0
  // Linux 5.9 tells anonymous and file pages apart.
  stats['workingset_refault'] ||= (all['workingset_refault_anon'] ?? 0) + (all['workingset_refault_file'] ?? 0)
  stats['workingset_activate'] ||= (all['workingset_activate_anon'] ?? 0) + (all['workingset_activate_file'] ?? 0)
  return stats
}

/** `8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0`. Docker shows the bytes only. */
export function ioStats(text: string): GroupStats['blkio_stats'] {
  const entries: { major: number; minor: number; op: string; value: number }[] = []
  for (const line of text.split('\n')) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line)
    if (!match) continue
    const value = (key: string): number => Number(new RegExp(`(?:^| )${key}=(\\d+)`).exec(match[3] ?? '')?.[1] ?? 0)
    const device = { major: Number(match[1]), minor: Number(match[2]) }
    entries.push({ ...device, op: 'read', value: value('rbytes') }, { ...device, op: 'write', value: value('wbytes') })
  }
  return {
    io_service_bytes_recursive: entries,
    io_serviced_recursive: null,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  }
}
