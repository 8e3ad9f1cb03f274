import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { O, openInRoot, toBytes } from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import type { UserDatabase } from './users.ts'

/** More than that is no passwd file. */
const MAX_SIZE = 4 << 20

/**
 * A text file inside a root file system, as a process in it would read it: no link in it, whatever it says, leads outside
 * (openat2(2) RESOLVE_IN_ROOT). Empty when it is missing or no regular file.
 */
function readInRoot(root: number, path: string): string {
  let fd: number
  try {
    // O_NONBLOCK: an image may hold a FIFO of that name.
    fd = openInRoot(root, toBytes(path), O.rdonly | constants.O_NONBLOCK)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENXIO')) return ''
    throw error
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > MAX_SIZE) return ''
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** The users and groups of a container, from its own files. */
export function readUserDatabase(rootfs: string): UserDatabase {
  const root = openSync(rootfs, O.path | constants.O_DIRECTORY)
  try {
    return { passwd: readInRoot(root, 'etc/passwd'), group: readInRoot(root, 'etc/group') }
  } finally {
    closeSync(root)
  }
}
