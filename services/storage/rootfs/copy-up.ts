import { readdirSync } from 'node:fs'
import { close, O, openInRoot, toBytes, openat, AT_FDCWD } from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { copyTree } from '../../../shared/kernel/tree.ts'

/**
 * Fills an empty volume with what the image has at the mount's target, and gives it that directory's owner and mode. `rootfs` is the
 * mounted root file system; a link in it does not lead out of it.
 */
export async function copyUp(rootfs: string, target: string, volume: string): Promise<void> {
  if (readdirSync(volume).length > 0) return
  const root = openat(AT_FDCWD, toBytes(rootfs), O.path | O.directory)
  try {
    const source = openDirectory(root, toBytes(target))
    if (source === undefined) return
    try {
      await copyTree(`/proc/self/fd/${source}`, volume)
    } finally {
      close(source)
    }
  } finally {
    close(root)
  }
}

function openDirectory(root: number, path: string): number | undefined {
  try {
    return openInRoot(root, path, O.rdonly | O.directory)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  }
}
