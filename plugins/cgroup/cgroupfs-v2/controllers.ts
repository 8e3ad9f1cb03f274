import { join } from 'node:path'
import { conflict } from '../../../shared/errors/index.ts'
import type { CgroupFs } from '../../../shared/kernel/cgroupfs.ts'
import { isCode } from '../../../shared/kernel/libc.ts'

/** Those that limits, statistics and OOM events are made of; others are nobody's business here. */
const WANTED = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb']

/**
 * Hands the controllers down, from the root to the last of `parents` (cgroup-v2.rst, "Enabling and Disabling"). Only what is not
 * enabled yet is written. `conflict` where processes live in a group that would have to hand them down.
 */
export function enableControllers(
  fs: CgroupFs,
  root: string,
  parents: readonly string[],
  available: readonly string[],
): void {
  const wanted = WANTED.filter((c) => available.includes(c))
  for (const path of ['', ...parents]) {
    const file = join(root, path, 'cgroup.subtree_control')
    const enabled = fs.read(file).trim().split(/\s+/)
    const missing = wanted.filter((c) => !enabled.includes(c))
    if (missing.length === 0) continue
    try {
      fs.write(file, missing.map((c) => `+${c}`).join(' '))
    } catch (error) {
      enableEach(fs, file, missing, error)
    }
  }
}

/** One by one: one that a parent does not hand down (ENOENT) must not keep the others away. */
function enableEach(fs: CgroupFs, file: string, missing: readonly string[], first: unknown): void {
  if (isCode(first, 'EBUSY', 'EOPNOTSUPP')) {
    throw conflict(
      `the controllers ${missing.join(', ')} cannot be handed down in ${file}: ` +
        'processes live in that group (v2 allows them in the last groups only); choose another cgroup parent',
      { cause: first },
    )
  }
  for (const controller of missing) {
    try {
      fs.write(file, `+${controller}`)
    } catch (error) {
      if (!isCode(error, 'ENOENT', 'EINVAL', 'EBUSY')) throw error
    }
  }
}
