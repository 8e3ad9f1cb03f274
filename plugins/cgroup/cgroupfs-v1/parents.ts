import { join } from 'node:path'
import { parentsOf } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import { conflict } from '../../../shared/errors/index.ts'
import type { Hierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import type { CgroupFs } from '../../../shared/kernel/cgroupfs.ts'

/*
 * What a group needs of those above it.
 */

/**
 * A v1 cpuset is born empty and takes no process until it has CPUs and memory nodes (Documentation/admin-guide/cgroup-v1/cpusets.rst):
 * each level without gets its parent's, from the top down.
 */
export function prepareCpuset(fs: CgroupFs, root: string | undefined, paths: readonly string[]): void {
  if (root === undefined) return
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    let above = ''
    for (const path of paths) {
      const name = join(root, path, file)
      let own = fs.read(name).trim()
      if (own === '') {
        own = above === '' ? fs.read(join(root, file)).trim() : above
        fs.write(name, own)
      }
      above = own
    }
  }
}

/**
 * A group's real-time budget comes out of its parent's, and that of a new group is 0 (Documentation/scheduler/sched-rt-group.rst): each
 * level above gets as much as those below it want together. `conflict` when the machine has not got that much to give.
 */
export function prepareRealtime(fs: CgroupFs, root: string | undefined, path: string, resources: Resources): void {
  const runtime = resources.CpuRealtimeRuntime ?? 0
  if (root === undefined || runtime === 0 || !fs.exists(join(root, path, 'cpu.rt_runtime_us'))) return
  const read = (group: string, file: string): number => Number(fs.read(join(root, group, file)))
  const share = (group: string): number => read(group, 'cpu.rt_runtime_us') / read(group, 'cpu.rt_period_us')

  let wanted = runtime / (resources.CpuRealtimePeriod || read(path, 'cpu.rt_period_us'))
  let below = path
  const budgets: { group: string; wanted: number }[] = []
  for (const group of parentsOf(path).reverse()) {
    const siblings = fs.children(join(root, group)).map((name) => join(group, name))
    for (const sibling of siblings) if (sibling !== below) wanted += share(sibling)
    wanted = Math.max(wanted, share(group))
    budgets.unshift({ group, wanted })
    below = group
  }
  for (const budget of budgets) {
    const needed = Math.ceil(budget.wanted * read(budget.group, 'cpu.rt_period_us'))
    if (needed <= read(budget.group, 'cpu.rt_runtime_us')) continue
    try {
      fs.write(join(root, budget.group, 'cpu.rt_runtime_us'), String(needed))
    } catch (error) {
      throw conflict(
        `cpu-rt-runtime: this machine cannot give cgroup ${budget.group} ${needed} us of real-time budget`,
        { cause: error },
      )
    }
  }
}

/** hugetlb of a hybrid host is the v2 tree's: it must be switched on at each level above. */
export function prepareHugetlb(
  fs: CgroupFs,
  hierarchies: Hierarchies,
  parents: readonly string[],
  resources: Resources,
): void {
  if ((resources.Hugetlb ?? []).length === 0 || hierarchies.v1.has('hugetlb')) return
  if (hierarchies.v2 === undefined || !hierarchies.v2Controllers.includes('hugetlb')) return
  for (const path of ['/', ...parents]) fs.write(join(hierarchies.v2, path, 'cgroup.subtree_control'), '+hugetlb')
}
