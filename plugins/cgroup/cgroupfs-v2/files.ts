import { join } from 'node:path'
import { hugePageName, type Support } from '../../../shared/cgroup/index.ts'
import type { CgroupFs } from '../../../shared/kernel/cgroupfs.ts'

/** `io.bfq.weight` is there with BFQ, `io.weight` with io.cost (or BFQ before Linux 5.0). */
export type WeightFile = 'io.bfq.weight' | 'io.weight'

export interface V2Files {
  readonly support: Support
  readonly weight: WeightFile | undefined
}

/** Looks at a group's files (Documentation/admin-guide/cgroup-v2.rst) to see what this kernel can limit. */
export function inspectFiles(fs: CgroupFs, root: string, path: string): V2Files {
  const has = (file: string): boolean => fs.exists(join(root, path, file))
  const weight = (['io.bfq.weight', 'io.weight'] as const).find(has)
  const list = (file: string): string => {
    const name = [`${file}.effective`, file].map((f) => join(root, f)).find((f) => fs.exists(f))
    return name === undefined ? '' : fs.read(name).trim()
  }
  const support: Support = {
    memory: has('memory.max'),
    swap: has('memory.swap.max'),
    reservation: has('memory.low'),
    // v2 has none of these (cgroup-v2.rst, "Deprecated v1 Core Features"; memory.rst of v1 has them).
    swappiness: false,
    oomKillDisable: false,
    kernelMemoryTcp: false,
    cpuRealtime: false,
    cpuShares: has('cpu.weight'),
    cpuCfs: has('cpu.max'),
    cpuset: has('cpuset.cpus'),
    pids: has('pids.max'),
    blkioThrottle: has('io.max'),
    blkioWeight: weight !== undefined,
    blkioWeightDevice: weight !== undefined,
    hugetlb: fs
      .hugePageSizes()
      .map(hugePageName)
      .filter((size) => has(`hugetlb.${size}.max`)),
    freezer: has('cgroup.freeze'),
    oomEvents: has('memory.events'),
    // CPUs come and go: read when asked for.
    get cpus() {
      return list('cpuset.cpus')
    },
    get mems() {
      return list('cpuset.mems')
    },
    get onlineCpus() {
      return fs.host.onlineCpus
    },
  }
  return { support, weight }
}
