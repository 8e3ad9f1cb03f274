import { isAlive, NEVER } from '../containers/container.ts'
import type { Engine } from '../engine.ts'

/** What Docker shows where there are no counters. Clients reach into it without looking. */
const NOTHING = {
  read: NEVER,
  pids_stats: {},
  cpu_stats: {
    cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  },
  memory_stats: {},
  blkio_stats: {
    io_service_bytes_recursive: null,
    io_serviced_recursive: null,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  },
}

/**
 * One sample of a container in the form of Docker's stats, cgroup and network together. A container that does not run has one
 * that says nothing, as with Docker.
 */
export async function stats(engine: Engine, ref: string): Promise<Record<string, unknown>> {
  const container = engine.containers.find(ref)
  const { id } = container
  const head = { name: `/${container.name}`, id, num_procs: 0, storage_stats: {}, ...NOTHING }
  if (!isAlive(container)) return head
  const [group, networks] = await Promise.all([engine.samples.group.of(id), engine.samples.network.of(id)])
  return { ...head, ...group, ...(networks && Object.keys(networks).length > 0 ? { networks } : {}) }
}
