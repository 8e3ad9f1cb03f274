import type { InterfaceStats } from '../../../shared/contracts/index.ts'
import type { Static } from 'typebox'
import type { CgroupCounters } from './samples.ts'

/**
 * The metrics of a container, by the names that cAdvisor gives them (docs/storage/prometheus.md in its repository), and where in a
 * sample they are. A value that a kernel does not count is left out.
 */
export interface Family<S> {
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly value: (sample: S) => number | undefined
}

const counter = <S>(name: string, help: string, value: Family<S>['value']): Family<S> => ({
  type: 'counter',
  name,
  help,
  value,
})
const gauge = <S>(name: string, help: string, value: Family<S>['value']): Family<S> => ({
  type: 'gauge',
  name,
  help,
  value,
})

/** A number somewhere in Docker's stats. */
function at(value: unknown, ...path: readonly string[]): number | undefined {
  for (const key of path) value = (value as Record<string, unknown> | null | undefined)?.[key]
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}
const seconds = (nanos: number | undefined): number | undefined => (nanos === undefined ? undefined : nanos / 1e9)
/** The first that there is: v1's name, then v2's. */
const memoryStat = (s: CgroupCounters, ...names: string[]): number | undefined =>
  names.map((name) => at(s.memory_stats, 'stats', name)).find((n) => n !== undefined)

/** Usage without what the kernel can drop at once, as `kubectl top` and cAdvisor count. */
function workingSet(s: CgroupCounters): number | undefined {
  const usage = at(s.memory_stats, 'usage')
  const inactive = memoryStat(s, 'total_inactive_file', 'inactive_file') ?? 0
  return usage === undefined ? undefined : Math.max(0, usage - inactive)
}

export const GROUP_FAMILIES: readonly Family<CgroupCounters>[] = [
  counter('container_cpu_usage_seconds_total', 'CPU time consumed.', (s) =>
    seconds(at(s.cpu_stats, 'cpu_usage', 'total_usage')),
  ),
  counter('container_cpu_user_seconds_total', 'CPU time consumed in user mode.', (s) =>
    seconds(at(s.cpu_stats, 'cpu_usage', 'usage_in_usermode')),
  ),
  counter('container_cpu_system_seconds_total', 'CPU time consumed in the kernel.', (s) =>
    seconds(at(s.cpu_stats, 'cpu_usage', 'usage_in_kernelmode')),
  ),
  counter('container_cpu_cfs_periods_total', 'Elapsed enforcement periods of the CPU limit.', (s) =>
    at(s.cpu_stats, 'throttling_data', 'periods'),
  ),
  counter('container_cpu_cfs_throttled_periods_total', 'Periods in which the CPU limit throttled.', (s) =>
    at(s.cpu_stats, 'throttling_data', 'throttled_periods'),
  ),
  counter('container_cpu_cfs_throttled_seconds_total', 'Time for which the CPU limit throttled.', (s) =>
    seconds(at(s.cpu_stats, 'throttling_data', 'throttled_time')),
  ),
  gauge('container_memory_usage_bytes', 'Memory in use, with page cache.', (s) => at(s.memory_stats, 'usage')),
  gauge('container_memory_working_set_bytes', 'Memory in use, without inactive page cache.', workingSet),
  gauge('container_memory_limit_bytes', 'Memory limit; the host memory where there is none.', (s) =>
    at(s.memory_stats, 'limit'),
  ),
  gauge('container_memory_max_usage_bytes', 'Highest memory usage so far.', (s) => at(s.memory_stats, 'max_usage')),
  gauge('container_memory_cache', 'Page cache in bytes.', (s) => memoryStat(s, 'total_cache', 'cache', 'file')),
  gauge('container_memory_rss', 'Anonymous memory in bytes.', (s) => memoryStat(s, 'total_rss', 'rss', 'anon')),
  gauge('container_memory_swap', 'Swap in use in bytes.', (s) => memoryStat(s, 'total_swap', 'swap')),
  counter('container_memory_failcnt', 'How often memory usage hit the limit.', (s) => at(s.memory_stats, 'failcnt')),
  counter('container_oom_events_total', 'Processes that the OOM killer killed.', (s) => at(s, 'oom_kills')),
  gauge('container_pids', 'Processes and threads.', (s) => at(s.pids_stats, 'current')),
]

type Counters = Static<typeof InterfaceStats>

const INTERFACE_COUNTERS: ReadonlyArray<readonly [key: string, unit: string, what: string]> = [
  ['bytes', 'bytes', 'Bytes'],
  ['packets', 'packets', 'Packets'],
  ['errors', 'errors', 'Errors'],
  ['dropped', 'packets_dropped', 'Packets dropped'],
]

export const INTERFACE_FAMILIES: readonly Family<Counters>[] = [
  ['rx', 'receive', 'while receiving'] as const,
  ['tx', 'transmit', 'while transmitting'] as const,
].flatMap(([way, verb, phrase]) =>
  INTERFACE_COUNTERS.map(([key, unit, what]) =>
    counter<Counters>(`container_network_${verb}_${unit}_total`, `${what} ${phrase}.`, (s) => at(s, `${way}_${key}`)),
  ),
)

export interface BlkioEntry {
  readonly major: number
  readonly minor: number
  readonly op: string
  readonly value: number
}

export interface BlkioFamily {
  readonly name: string
  readonly help: string
  readonly list: string
  readonly op: string
}

export const BLKIO_FAMILIES: readonly BlkioFamily[] = [
  ['reads_bytes', 'Bytes read.', 'io_service_bytes_recursive', 'read'] as const,
  ['writes_bytes', 'Bytes written.', 'io_service_bytes_recursive', 'write'] as const,
  ['reads', 'Reads completed.', 'io_serviced_recursive', 'read'] as const,
  ['writes', 'Writes completed.', 'io_serviced_recursive', 'write'] as const,
].map(([name, help, list, op]) => ({ name: `container_fs_${name}_total`, help, list, op }))

/** One family's entries of a sample; v1 writes `Read`, v2 `read`. */
export const blkioEntries = (s: CgroupCounters, { list, op }: BlkioFamily): readonly BlkioEntry[] =>
  ((s.blkio_stats[list] ?? []) as readonly BlkioEntry[]).filter((e) => e.op.toLowerCase() === op)
