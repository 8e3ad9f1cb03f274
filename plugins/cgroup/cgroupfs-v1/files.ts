import { join } from 'node:path'
import { hugePageName, type Support } from '../../../shared/cgroup/index.ts'
import type { Hierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import type { CgroupFs } from '../../../shared/kernel/cgroupfs.ts'

/** Where a group's directory of a controller is; undefined when the controller is not mounted. */
export type DirOf = (controller: string) => string | undefined

export const dirOf =
  (hierarchies: Hierarchies, path: string): DirOf =>
  (controller) => {
    const root = controller === 'unified' ? hierarchies.v2 : hierarchies.v1.get(controller)
    return root === undefined ? undefined : join(root, path)
  }

/** Mount points, each once. The first tells whether a group exists: one that every runtime joins. */
export function groupRoots(hierarchies: Hierarchies): string[] {
  const first = ['devices', 'memory', 'freezer', 'pids']
  const dirs = [...first.map((c) => hierarchies.v1.get(c)), ...hierarchies.v1.values(), hierarchies.v2]
  return [...new Set(dirs.filter((d) => d !== undefined))]
}

/** The block I/O weight belongs to the I/O scheduler: CFQ's until Linux 4.20, BFQ's since. */
export interface WeightFiles {
  readonly weight: string | undefined
  readonly weightDevice: string | undefined
}

export interface V1Files {
  readonly support: Support
  readonly weights: WeightFiles
}

/** Looks at a group's files to see what this kernel can limit. */
export function inspectFiles(fs: CgroupFs, hierarchies: Hierarchies, path: string): V1Files {
  const at = dirOf(hierarchies, path)
  const has = (controller: string, file: string): boolean => {
    const dir = at(controller)
    return dir !== undefined && fs.exists(join(dir, file))
  }
  const firstOf = (files: readonly string[]): string | undefined => files.find((f) => has('blkio', f))
  const weights = {
    weight: firstOf(['blkio.weight', 'blkio.bfq.weight']),
    weightDevice: firstOf(['blkio.weight_device', 'blkio.bfq.weight_device']),
  }
  const cpuset = hierarchies.v1.get('cpuset')
  const support: Support = {
    memory: has('memory', 'memory.limit_in_bytes'),
    swap: has('memory', 'memory.memsw.limit_in_bytes'),
    reservation: has('memory', 'memory.soft_limit_in_bytes'),
    swappiness: has('memory', 'memory.swappiness'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    kernelMemoryTcp: has('memory', 'memory.kmem.tcp.limit_in_bytes'),
    cpuShares: has('cpu', 'cpu.shares'),
    cpuCfs: has('cpu', 'cpu.cfs_quota_us'),
    cpuRealtime: has('cpu', 'cpu.rt_runtime_us'),
    cpuset: has('cpuset', 'cpuset.cpus'),
    pids: has('pids', 'pids.max'),
    blkioThrottle: has('blkio', 'blkio.throttle.read_bps_device'),
    blkioWeight: weights.weight !== undefined,
    blkioWeightDevice: weights.weightDevice !== undefined,
    hugetlb: hugePageSizes(fs, hierarchies),
    freezer: has('freezer', 'freezer.state') || has('unified', 'cgroup.freeze'),
    oomEvents: has('memory', 'cgroup.event_control'),
    // CPUs come and go: read when asked for.
    get cpus() {
      return cpuset === undefined ? '' : fs.read(join(cpuset, 'cpuset.cpus')).trim()
    },
    get mems() {
      return cpuset === undefined ? '' : fs.read(join(cpuset, 'cpuset.mems')).trim()
    },
    get onlineCpus() {
      return fs.host.onlineCpus
    },
  }
  return { support, weights }
}

/** Page sizes as the limit files spell them, when hugetlb is a v1 hierarchy or controlled by the v2 tree of a hybrid host. */
function hugePageSizes(fs: CgroupFs, hierarchies: Hierarchies): string[] {
  if (!hierarchies.v1.has('hugetlb') && !hierarchies.v2Controllers.includes('hugetlb')) return []
  return fs.hugePageSizes().map(hugePageName)
}
