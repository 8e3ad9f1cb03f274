import { posix } from 'node:path'
import type { Mount, RunRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { DEFAULT_SHM_SIZE, defaultMounts } from './defaults.ts'

const SHM = '/dev/shm'

/**
 * All mounts of a container, in the order in which the runtime makes them: defaults, then the request's, parents before what
 * lies below them. A mount of the request replaces a default at the same place (as `--tmpfs /dev/shm` does).
 */
export function planMounts(request: RunRequest): Mount[] {
  const own = request.mounts.map((m) => ({ ...m, destination: clean(m.destination) }))
  const taken = new Set(own.map((m) => m.destination))
  const sharedMemory = request.shmMounted === false ? [] : [shm(request)]
  const defaults = [...defaultMounts(request.process.privileged), ...sharedMemory].filter(
    (m) => !taken.has(m.destination),
  )
  const ordered = own
    .map((mount, index) => ({ mount, index, depth: depth(mount.destination) }))
    .sort((a, b) => a.depth - b.depth || a.index - b.index)
    .map(({ mount }) => mount)
  return [...defaults, ...ordered]
}

function clean(destination: string): string {
  if (!destination.startsWith('/')) throw invalid(`invalid mount path: '${destination}' mount path must be absolute`)
  const path = posix.normalize(destination)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

const depth = (path: string): number => (path === '/' ? 0 : path.split('/').length)

function shm(request: RunRequest): Mount {
  const shared = request.shmPath ?? (request.namespaces.ipc.kind === 'host' ? SHM : undefined)
  if (shared !== undefined) return { destination: SHM, type: 'bind', source: shared, options: ['rbind', 'rprivate'] }
  const size = request.shmSize > 0 ? request.shmSize : DEFAULT_SHM_SIZE
  return {
    destination: SHM,
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${size}`],
  }
}
