import { join } from 'node:path'
import type { CgroupFs } from './cgroupfs.ts'

/** v1 hierarchies that OCI runtimes join (runc libcontainer/cgroups/fs); others are somebody else's. */
const JOINED = new Set([
  ...['cpuset', 'devices', 'memory', 'cpu', 'cpuacct', 'pids', 'blkio', 'hugetlb', 'net_cls', 'net_prio'],
  ...['perf_event', 'freezer', 'rdma', 'misc', 'name=systemd'],
])

/** Where this host's cgroup trees are. A pure v1 host has no `v2`, a pure v2 host no `v1`, a hybrid host both. */
export interface Hierarchies {
  /** Controller, or `name=systemd`, to the directory where its v1 hierarchy is mounted. Some share one (`cpu,cpuacct`). */
  readonly v1: ReadonlyMap<string, string>
  readonly v2: string | undefined
  /** What the v2 tree controls: those not bound to a v1 hierarchy. */
  readonly v2Controllers: readonly string[]
}

/**
 * Finds the hierarchies mounted at or below `root`, from /proc/self/mountinfo. A `root` without any mount is taken for a
 * recorded tree and read by its layout, which is that of cgroups(7): `cgroup.controllers` in it for v2, else one directory a
 * v1 hierarchy, and `unified`.
 */
export function findHierarchies(fs: CgroupFs, root: string): Hierarchies {
  const mounts = parseMounts(fs.mountinfo(), root)
  const found = mounts.length > 0 ? mounts : layout(fs, root)
  const v1 = new Map<string, string>()
  let v2: string | undefined
  for (const mount of found) {
    if (mount.version === 2) v2 ??= mount.dir
    else for (const c of mount.controllers) if (JOINED.has(c) && !v1.has(c)) v1.set(c, mount.dir)
  }
  const list = v2 === undefined ? [] : fs.read(join(v2, 'cgroup.controllers')).trim().split(/\s+/)
  return { v1, v2, v2Controllers: list.filter((c) => c !== '') }
}

interface CgroupMount {
  readonly version: 1 | 2
  readonly dir: string
  readonly controllers: readonly string[]
}

/** Lines of mountinfo: `36 25 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`; blanks are `\040`. */
function parseMounts(text: string, root: string): CgroupMount[] {
  const mounts: CgroupMount[] = []
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ')
    const [type, , options] = (right ?? '').split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const dir = (left?.split(' ')[4] ?? '').replace(/\\040/g, ' ')
    if (dir !== root && !dir.startsWith(`${root}/`)) continue
    mounts.push({ version: type === 'cgroup2' ? 2 : 1, dir, controllers: options?.split(',') ?? [] })
  }
  return mounts
}

function layout(fs: CgroupFs, root: string): CgroupMount[] {
  if (fs.exists(join(root, 'cgroup.controllers'))) return [{ version: 2, dir: root, controllers: [] }]
  return fs.children(root).map((name) => {
    const dir = join(root, name)
    if (fs.exists(join(dir, 'cgroup.controllers'))) return { version: 2, dir, controllers: [] }
    return { version: 1, dir, controllers: name === 'systemd' ? ['name=systemd'] : name.split(',') }
  })
}
