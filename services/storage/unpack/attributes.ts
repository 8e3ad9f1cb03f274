import { fchmodSync, fchownSync } from 'node:fs'
import { chmodat, chownat, fsetXattr, futimes, setXattr, utimesat } from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import type { TarEntry } from '../tar/entry.ts'

/** What only the kernel's overlayfs may write: from an archive they could splice foreign directories in. */
const FORBIDDEN_XATTR = /^(trusted|user)\.overlay\./

/** Owner, mode, extended attributes and time of a file that is open; in this order, since a new owner clears some of the rest. */
export function setFileAttributes(entry: TarEntry, fd: number): void {
  fchownSync(fd, entry.uid, entry.gid)
  fchmodSync(fd, entry.mode)
  setXattrs(entry, (name, value) => fsetXattr(fd, name, value))
  futimes(fd, entry.mtime)
}

/** The same of whatever has a name in an open directory; a directory's time is set when its content is complete. */
export function setAttributes(entry: TarEntry, dir: number, name: string): void {
  chownat(dir, name, entry.uid, entry.gid)
  if (entry.type !== 'symlink') chmodat(dir, name, entry.mode)
  setXattrs(entry, (attribute, value) => setXattr(`/proc/self/fd/${dir}/${name}`, attribute, value))
  if (entry.type !== 'directory') utimesat(dir, name, entry.mtime)
}

function setXattrs(entry: TarEntry, set: (name: string, value: Buffer) => void): void {
  for (const [name, value] of entry.xattrs) {
    if (FORBIDDEN_XATTR.test(name)) continue
    try {
      set(name, value)
    } catch (error) {
      // This file system, or this kind of file, has no such attribute; Docker goes on as well.
      if (!isCode(error, 'ENOTSUP', 'EOPNOTSUPP', 'EPERM')) throw error
    }
  }
}
