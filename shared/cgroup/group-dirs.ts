import { dirname, join, posix } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { conflict, invalid, notFound } from '../errors/index.ts'
import { type CgroupFs, isGone } from '../kernel/cgroupfs.ts'
import { isCode } from '../kernel/libc.ts'

/** How long processes get to die or to stand still. */
export const PATIENCE_MS = 10_000

/** NAME_MAX, and PATH_MAX with room for the mount point before the group's path and a file's name after it. */
const MAX_NAME = 255
const MAX_PATH = 4096 - 256

/** A group's directories: the same path below each hierarchy's mount point. */
export class GroupDirs {
  readonly fs: CgroupFs
  readonly roots: readonly string[]

  /** `roots`: mount points; the first is the one that tells whether a group exists and who is in it. */
  constructor(fs: CgroupFs, roots: readonly string[]) {
    this.fs = fs
    this.roots = roots
  }

  /** Directories above `path` that do not exist, outermost first. */
  missingParents(path: string): string[] {
    const missing: string[] = []
    for (const parent of parentsOf(path)) {
      for (const root of this.roots) {
        const dir = join(root, parent)
        if (!this.fs.exists(dir)) missing.push(dir)
      }
    }
    return missing
  }

  /** Innermost first; what is in use stays, and is returned. */
  removeParents(dirs: readonly string[]): string[] {
    return [...dirs]
      .reverse()
      .filter((dir) => this.fs.rmdir(dir) === 'busy')
      .reverse()
  }

  /** Makes the group everywhere, and what is missing above it. True when it was nowhere before. */
  make(path: string): boolean {
    let isNew = true
    for (const root of this.roots) isNew = this.#makeIn(root, path) && isNew
    return isNew
  }

  /** The group first: mostly its parents are there. One that somebody removes meanwhile is made again. */
  #makeIn(root: string, path: string): boolean {
    for (let attempt = 0; ; attempt++) {
      try {
        return this.fs.mkdir(join(root, path))
      } catch (error) {
        if (isCode(error, 'ENOTDIR')) {
          throw invalid(`invalid cgroup-parent "${dirname(path)}": it is a file in ${root}`, { cause: error })
        }
        if (attempt >= 3 || !isGone(error)) throw error
      }
      const above = dirname(path)
      if (above !== '/') this.#makeIn(root, above)
    }
  }

  exists(path: string): boolean {
    return this.fs.exists(join(this.roots[0] ?? '', path))
  }

  /** @throws `not-found` */
  mustExist(path: string): void {
    if (!this.exists(path)) throw notFound(`there is no cgroup ${path}`)
  }

  /** The group's directory in one hierarchy and all below, innermost first. */
  tree(dir: string): string[] {
    return [...this.fs.children(dir).flatMap((name) => this.tree(join(dir, name))), dir]
  }

  /** Pids in the group and below in one hierarchy, ascending. */
  pids(path: string, root = this.roots[0] ?? ''): number[] {
    const pids = new Set<number>()
    for (const dir of this.tree(join(root, path))) {
      for (const pid of readPids(this.fs, dir)) pids.add(pid)
    }
    return [...pids].sort((a, b) => a - b)
  }

  /** Removes the empty ones of the group's directories; true when none is left. */
  removeEmpty(path: string): boolean {
    let gone = true
    for (const root of this.roots) {
      const dir = join(root, path)
      if (this.fs.rmdir(dir) !== 'busy') continue
      for (const d of this.tree(dir)) if (this.fs.rmdir(d) === 'busy') gone = false
    }
    return gone
  }

  /**
   * Removes the group; `empty` must see to it that its processes end. An rmdir right after the last process ended may still
   * be refused for a moment, hence the retries.
   */
  async remove(path: string, empty: () => Promise<void>): Promise<void> {
    if (this.removeEmpty(path)) return
    const deadline = Date.now() + PATIENCE_MS
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      await empty()
      if (this.removeEmpty(path)) return
      if (Date.now() > deadline) {
        const pids = this.roots.flatMap((root) => this.pids(path, root))
        throw conflict(
          `cgroup ${path} cannot be removed: ` +
            (pids.length > 0
              ? `its processes do not end (pids ${[...new Set(pids)].join(', ')})`
              : 'the kernel says that it is busy'),
        )
      }
      await delay(pause)
    }
  }

  /** Groups right under `parent` in any hierarchy. */
  list(parent: string): string[] {
    const names = new Set(this.roots.flatMap((root) => this.fs.children(join(root, parent))))
    return [...names].map((name) => posix.join(parent, name))
  }
}

/** Process ids in one directory; a threaded or vanished group has none to show. */
export function readPids(fs: CgroupFs, dir: string): number[] {
  try {
    return fs
      .read(join(dir, 'cgroup.procs'))
      .split('\n')
      .filter((line) => line !== '' && line !== '0') // 0: a process outside of our pid namespace
      .map(Number)
  } catch (error) {
    if (isGone(error) || isCode(error, 'EOPNOTSUPP')) return []
    throw error
  }
}

/** `/a/b/c` -> `/a`, `/a/b` */
export function parentsOf(path: string): string[] {
  const above = dirname(path)
  return above === '/' || above === '.' ? [] : [...parentsOf(above), above]
}

/**
 * The path of a container's group. A parent that is not absolute is taken from the root of the hierarchies; `..` and what
 * the kernel cannot have in a name is refused.
 */
export function groupPath(id: string, parent: string, own: string): string {
  const given = parent === '' ? own : parent
  if (given.split('/').includes('..')) throw invalid(`invalid cgroup-parent "${parent}": it must not contain ".."`)
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(given)) throw invalid(`invalid cgroup-parent "${parent}": control characters`)
  const path = posix.join('/', given, id)
  if (path.split('/').some((part) => Buffer.byteLength(part) > MAX_NAME)) {
    throw invalid(`invalid cgroup-parent "${parent}": a name longer than ${MAX_NAME} bytes`)
  }
  if (Buffer.byteLength(path) > MAX_PATH)
    throw invalid(`invalid cgroup-parent "${parent}": longer than ${MAX_PATH} bytes`)
  return path
}
