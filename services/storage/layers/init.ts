import { isCode } from '../../../shared/kernel/libc.ts'
import type { StorageDriver } from '../../../shared/drivers/index.ts'
import { chmodat, close, mkdirat, O, openat, openInRoot, symlinkat } from '../../../shared/kernel/files.ts'
import { baseOf, parentOf, RootedTree } from '../unpack/rooted.ts'

/**
 * Where a container's mounts go must exist, also when its root file system is read-only. It is made in a layer of its own between
 * the image and the container, so that it is no change of the container's (`docker diff` shows none of it).
 */
const MOUNT_POINTS: readonly (readonly [string, 'directory' | 'file' | { link: string }])[] = [
  ['dev/pts', 'directory'],
  ['dev/shm', 'directory'],
  ['proc', 'directory'],
  ['sys', 'directory'],
  ['.dockerenv', 'file'],
  ['etc/resolv.conf', 'file'],
  ['etc/hosts', 'file'],
  ['etc/hostname', 'file'],
  ['dev/console', 'file'],
  ['etc/mtab', { link: '/proc/mounts' }],
]

/** Makes layer `init` on `parent` with whatever mount points are missing there. */
export async function makeMountPoints(driver: StorageDriver, init: string, parent: string | null): Promise<void> {
  await driver.createWritable(init, parent, {})
  try {
    const tree = new RootedTree(await driver.mount(init))
    try {
      for (const [path, kind] of MOUNT_POINTS) makeMissing(tree, path, kind)
    } finally {
      tree.close()
    }
    await driver.unmount(init)
    await driver.commit(init)
  } catch (error) {
    await driver.remove(init)
    throw error
  }
}

function makeMissing(tree: RootedTree, path: string, kind: 'directory' | 'file' | { link: string }): void {
  if (exists(tree, path)) return
  const parent = tree.directory(parentOf(path), true)
  const name = baseOf(path)
  try {
    if (kind === 'directory') {
      mkdirat(parent, name, 0o755)
      chmodat(parent, name, 0o755)
    } else if (kind === 'file') {
      close(openat(parent, name, O.creat | O.excl | O.wronly | O.nofollow, 0o755))
    } else {
      symlinkat(kind.link, parent, name)
    }
  } catch (error) {
    // A link that leads nowhere is the image's own idea of this path.
    if (!isCode(error, 'EEXIST')) throw error
  }
}

function exists(tree: RootedTree, path: string): boolean {
  try {
    close(openInRoot(tree.root, path, O.path))
    return true
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false
    if (isCode(error, 'ENOTDIR', 'ELOOP')) return true
    throw error
  }
}
