import { closeSync, openSync, statfsSync, unlinkSync } from 'node:fs'
import { isCode, syscallFn } from './libc.ts'
import { RtNetlink } from './rtnetlink.ts'

/**
 * Network namespaces pinned by a file, without forking: the main thread goes into the namespace and comes back within one
 * synchronous function. Nothing else of the process runs meanwhile, so `work` must not await, and must not start
 * threads (asynchronous fs, dns, crypto): a thread is born into its creator's namespace.
 */

const unshare = syscallFn('int unshare(int flags)')
const setns = syscallFn('int setns(int fd, int type)')
const mount = syscallFn(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)',
)
const umount2 = syscallFn('int umount2(const char *target, int flags)')

const CLONE_NEWNET = 0x40000000
const MS_BIND = 4096
const MNT_DETACH = 2
const NSFS_MAGIC = 0x6e736673
const SELF = '/proc/thread-self/ns/net'

let home: number | undefined
let away = false

function excursion<T>(enter: () => void, work: () => T): T {
  if (away) throw new Error('already in another network namespace')
  home ??= openSync(SELF, 'r')
  enter()
  away = true
  try {
    const result = work()
    if (result instanceof Promise) throw new Error('work in a network namespace must be synchronous')
    return result
  } finally {
    try {
      setns(home, CLONE_NEWNET)
      away = false
    } catch {
      // Everything this process does from here on would happen in a container's network.
      process.abort()
    }
  }
}

/** Whether a file pins a namespace (nsfs is mounted on it). */
export function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false
    throw error
  }
}

/**
 * Makes a namespace with loopback up, pins it to `path`, and runs `work` in it with a netlink socket of it. On failure
 * nothing is left. EEXIST when there is such a file.
 */
export function createNetns<T>(path: string, work: (link: RtNetlink) => T): T {
  closeSync(openSync(path, 'wx', 0o444))
  try {
    return excursion(
      () => unshare(CLONE_NEWNET),
      () => {
        mount(SELF, path, 'none', MS_BIND, null)
        const link = new RtNetlink()
        try {
          link.setLink('lo', { up: true })
          return work(link)
        } finally {
          link.close()
        }
      },
    )
  } catch (error) {
    deleteNetns(path)
    throw error
  }
}

/** Runs `work` in a new namespace that ends right afterwards: a place to try what the kernel can. */
export const withScratchNetns = <T>(work: (link: RtNetlink) => T): T =>
  excursion(
    () => unshare(CLONE_NEWNET),
    () => {
      const link = new RtNetlink()
      try {
        return work(link)
      } finally {
        link.close()
      }
    },
  )

/** Runs `work` in the namespace that `path` pins (or `/proc/<pid>/ns/net`). */
export function withNetns<T>(path: string, work: () => T): T {
  const fd = openSync(path, 'r')
  try {
    return excursion(() => setns(fd, CLONE_NEWNET), work)
  } finally {
    closeSync(fd)
  }
}

/** The same with a netlink socket of that namespace, closed afterwards. */
export const withNetnsLink = <T>(path: string, work: (link: RtNetlink) => T): T =>
  withNetns(path, () => {
    const link = new RtNetlink()
    try {
      return work(link)
    } finally {
      link.close()
    }
  })

/** Takes the pin away; the namespace ends when no process is in it. A missing one is no error. */
export function deleteNetns(path: string): void {
  try {
    for (;;) umount2(path, MNT_DETACH)
  } catch (error) {
    if (!isCode(error, 'EINVAL', 'ENOENT')) throw error
  }
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
}
