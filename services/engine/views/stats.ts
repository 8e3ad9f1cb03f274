import { parseNetworkMode } from '../config/modes.ts'
import { isAlive } from '../containers/container.ts'
import type { Engine } from '../engine.ts'

/**
 * One sample of a container in the form of Docker's stats, cgroup and network together. A container that does not run has an
 * empty one, as with Docker.
 */
export async function stats(engine: Engine, ref: string): Promise<Record<string, unknown>> {
  const container = engine.containers.find(ref)
  const { id } = container
  const head = { name: `/${container.name}`, id, preread: '0001-01-01T00:00:00Z', num_procs: 0, storage_stats: {} }
  if (!isAlive(container)) {
    return {
      ...head,
      read: '0001-01-01T00:00:00Z',
      pids_stats: {},
      cpu_stats: {},
      precpu_stats: {},
      memory_stats: {},
      blkio_stats: {},
    }
  }
  // With a shared network it is the sandbox's owner who counts.
  const mode = parseNetworkMode(container.hostConfig.NetworkMode ?? '')
  const owner = mode.kind === 'container' ? engine.containers.find(mode.target).id : id
  const [groups, sandboxes] = await Promise.all([
    engine.lower.cgroup['group.stats']({ ids: [id] }),
    engine.lower.network['sandbox.stats']({ ids: [owner] }),
  ])
  const networks = sandboxes[owner]
  return { ...head, ...groups[id], ...(networks && Object.keys(networks).length > 0 ? { networks } : {}) }
}
