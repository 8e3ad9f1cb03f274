import { readlinkSync } from 'node:fs'
import { isCode, syscallFn } from './libc.ts'

/**
 * System calls on files that Node lacks, all relative to an open directory, so that no path is walked twice. Names are "byte
 * strings" (latin1: one character a byte), because a file name on Linux is any bytes, not UTF-8.
 */

export const AT_FDCWD = -100

/** open(2) flags that node:fs constants lack or that differ by name. */
export const O = {
  path: 0o10000000,
  directory: 0o200000,
  nofollow: 0o400000,
  cloexec: 0o2000000,
  creat: 0o100,
  excl: 0o200,
  rdonly: 0,
  wronly: 1,
} as const

/** File type bits of st_mode. */
export const S = { fifo: 0o010000, char: 0o020000, block: 0o060000 } as const

const RESOLVE_IN_ROOT = 0x10n
const RESOLVE_NO_MAGICLINKS = 0x02n
const OPENAT2 = 437
const AT_SYMLINK_NOFOLLOW = 0x100

/** A byte string as a NUL-terminated C string. */
const c = (bytes: string): Uint8Array => Buffer.from(`${bytes}\0`, 'latin1')

/** A path in the usual (UTF-8) form as a byte string, and back. */
export const toBytes = (path: string): string => Buffer.from(path).toString('latin1')
export const fromBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** For node:fs, which takes a Buffer where a name is not UTF-8. */
export const pathAt = (dir: number, name: string): Buffer => Buffer.from(`/proc/self/fd/${dir}/${name}`, 'latin1')

const sysOpenat = syscallFn('int openat(int dir, const void *path, int flags, unsigned int mode)')
const sysOpenat2 = syscallFn('long syscall(long number, int dir, const void *path, const void *how, size_t size)')
const sysMkdirat = syscallFn('int mkdirat(int dir, const void *path, unsigned int mode)')
const sysMknodat = syscallFn('int mknodat(int dir, const void *path, unsigned int mode, uint64_t device)')
const sysLinkat = syscallFn('int linkat(int from, const void *old, int to, const void *path, int flags)')
const sysSymlinkat = syscallFn('int symlinkat(const void *target, int dir, const void *path)')
const sysUnlinkat = syscallFn('int unlinkat(int dir, const void *path, int flags)')
const sysRenameat = syscallFn('int renameat(int from, const void *old, int to, const void *path)')
const sysFchownat = syscallFn('int fchownat(int dir, const void *path, uint32_t uid, uint32_t gid, int flags)')
const sysFchmodat = syscallFn('int fchmodat(int dir, const void *path, unsigned int mode, int flags)')
const sysUtimensat = syscallFn('int utimensat(int dir, const void *path, const void *times, int flags)')
const sysFutimens = syscallFn('int futimens(int fd, const void *times)')
const sysLsetxattr = syscallFn(
  'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
)
const sysFsetxattr = syscallFn('int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)')
const sysLgetxattr = syscallFn('long lgetxattr(const void *path, const void *name, void *value, size_t size)')
const sysLlistxattr = syscallFn('long llistxattr(const void *path, void *list, size_t size)')

const sysClose = syscallFn('int close(int fd)')

/** Closes what `openat` or `openInRoot` opened. (Node's own close complains in worker threads of files it did not open.) */
export const close = (fd: number): void => void sysClose(fd)

/** openat(2), always with O_CLOEXEC. */
export const openat = (dir: number, name: string, flags: number, mode = 0): number =>
  sysOpenat(dir, c(name), flags | O.cloexec, mode)

/**
 * Opens `path` as a process whose root directory is `root` would (openat2(2) with RESOLVE_IN_ROOT): links, absolute or with
 * any number of `..`, end inside, also while somebody moves directories about. Magic links are refused.
 */
export function openInRoot(root: number, path: string, flags: number): number {
  const how = new BigUint64Array([BigInt(flags | O.cloexec), 0n, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS])
  for (;;) {
    try {
      return sysOpenat2(OPENAT2, root, c(path), new Uint8Array(how.buffer), how.byteLength)
    } catch (error) {
      // The kernel could not rule out that a concurrent rename led outside: it asks to try again.
      if (!isCode(error, 'EAGAIN')) throw error
    }
  }
}

export const mkdirat = (dir: number, name: string, mode: number): void => void sysMkdirat(dir, c(name), mode)

/** A device, FIFO or empty file; `type` is one of S. */
export function mknodat(dir: number, name: string, type: number, mode: number, major = 0, minor = 0): void {
  sysMknodat(dir, c(name), type | mode, makedev(major, minor))
}

/** dev_t as glibc packs it (gnu_dev_makedev). */
const makedev = (major: number, minor: number): bigint => {
  const [M, m] = [BigInt(major), BigInt(minor)]
  return (m & 0xffn) | ((M & 0xfffn) << 8n) | ((m & ~0xffn) << 12n) | ((M & ~0xfffn) << 32n)
}

/** A hard link; a symbolic link is linked itself, not followed. */
export const linkat = (from: number, old: string, to: number, name: string): void =>
  void sysLinkat(from, c(old), to, c(name), 0)

export const symlinkat = (target: string, dir: number, name: string): void => void sysSymlinkat(c(target), dir, c(name))

export const unlinkat = (dir: number, name: string): void => void sysUnlinkat(dir, c(name), 0)

export const renameat = (from: number, old: string, to: number, name: string): void =>
  void sysRenameat(from, c(old), to, c(name))

/** chown(2) that does not follow a link. */
export const chownat = (dir: number, name: string, uid: number, gid: number): void =>
  void sysFchownat(dir, c(name), uid, gid, AT_SYMLINK_NOFOLLOW)

/** chmod(2); follows a link (Linux has no mode on links), so only for what is known to be none. */
export const chmodat = (dir: number, name: string, mode: number): void => void sysFchmodat(dir, c(name), mode, 0)

const timespecs = (ns: bigint): Uint8Array => {
  const [second, rest] = [ns / 1_000_000_000n, ns % 1_000_000_000n]
  const pair = rest < 0n ? [second - 1n, rest + 1_000_000_000n] : [second, rest]
  return new Uint8Array(new BigInt64Array([...pair, ...pair]).buffer)
}

/** Access and modification time, in nanoseconds since the epoch; does not follow a link. */
export const utimesat = (dir: number, name: string, ns: bigint): void =>
  void sysUtimensat(dir, c(name), timespecs(ns), AT_SYMLINK_NOFOLLOW)

export const futimes = (fd: number, ns: bigint): void => void sysFutimens(fd, timespecs(ns))

/** Sets an extended attribute of the file itself (xattr(7)); `path` is a byte string. */
export const setXattr = (path: string, name: string, value: Uint8Array): void =>
  void sysLsetxattr(c(path), c(name), value, value.length, 0)

export const fsetXattr = (fd: number, name: string, value: Uint8Array): void =>
  void sysFsetxattr(fd, c(name), value, value.length, 0)

/** The value, or undefined when there is no such attribute or the file system has none. */
export function getXattr(path: string, name: string): Buffer | undefined {
  try {
    const size = sysLgetxattr(c(path), c(name), null, 0)
    const value = Buffer.alloc(size)
    return value.subarray(0, sysLgetxattr(c(path), c(name), value, size))
  } catch (error) {
    if (isCode(error, 'ENODATA', 'ENOTSUP', 'EOPNOTSUPP')) return undefined
    throw error
  }
}

/** Names of all extended attributes. */
export function listXattr(path: string): string[] {
  try {
    const size = sysLlistxattr(c(path), null, 0)
    if (size === 0) return []
    const list = Buffer.alloc(size)
    const used = sysLlistxattr(c(path), list, size)
    return list.toString('latin1', 0, used).split('\0').filter(Boolean)
  } catch (error) {
    if (isCode(error, 'ENOTSUP', 'EOPNOTSUPP')) return []
    throw error
  }
}

/** The path that an open file has now. */
export const pathOf = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`)
