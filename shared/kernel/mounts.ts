import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { errno, isCode, libc, syscallFn, SystemError } from './libc.ts'

/** Flags of mount(2), from linux/mount.h. */
export const MS = {
  rdonly: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  synchronous: 0x10,
  remount: 0x20,
  mandlock: 0x40,
  dirsync: 0x80,
  nosymfollow: 0x100,
  noatime: 0x400,
  nodiratime: 0x800,
  bind: 0x1000,
  move: 0x2000,
  rec: 0x4000,
  silent: 0x8000,
  unbindable: 0x20000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
  relatime: 0x200000,
  strictatime: 0x1000000,
  lazytime: 0x2000000,
} as const

const [O_PATH, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC] = [0o10000000, 0o200000, 0o400000, 0o2000000] as const
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

const PROTOTYPE =
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'
const sysMount = syscallFn(PROTOTYPE)
const sysUmount2 = syscallFn('int umount2(const char *target, int flags)')

/** mount(2), on this thread: for file systems that answer at once (overlay, tmpfs, bind). Throws SystemError. */
export function mount(source: string, target: string, type: string | null, flags: number, data: string | null): void {
  sysMount(source, target, type, flags, data)
}

const mountFn = libc.func(PROTOTYPE)

/** mount(2) on a thread of the pool: for file systems that may wait for a server or a disk. */
export function mountAsync(
  source: string,
  target: string,
  type: string | null,
  flags: number,
  data: string | null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    mountFn.async(source, target, type, flags, data, (error: unknown, result: number) => {
      if (error instanceof Error) reject(error)
      else if (result === 0) resolve()
      else reject(new SystemError('mount', errno(), `${source} ${target}`))
    })
  })
}

/**
 * Takes the topmost mount off `target`, lazily (umount2(2) with MNT_DETACH): whoever still has a file open keeps it, and
 * the path is free at once. Answers false when nothing is mounted there or the path is missing.
 */
export function unmount(target: string): boolean {
  try {
    sysUmount2(target, MNT_DETACH | UMOUNT_NOFOLLOW)
    return true
  } catch (error) {
    if (isCode(error, 'EINVAL', 'ENOENT')) return false
    throw error
  }
}

const sysOpen = syscallFn('int open(const char *path, int flags)')
const CLOSE = 'int close(int fd)'
const sysClose = syscallFn(CLOSE)
const closeFn = libc.func(CLOSE)

let closing: Promise<void> = Promise.resolve()

/** One after the other: each may wait for the disk, and Node's few pool threads have other work too. */
function closeInBackground(fd: number): Promise<void> {
  closing = closing.then(
    () =>
      new Promise((resolve) => {
        closeFn.async(fd, () => resolve())
      }),
  )
  return closing
}

/**
 * Like `unmount`, but the path is free at once, also when the file system has much to write back (overlayfs writes back its whole
 * upper file system). That goes on in the background; the promise resolves when it is done. Undefined when nothing is mounted
 * there.
 */
export function detach(target: string): Promise<void> | undefined {
  let held: number
  try {
    held = sysOpen(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  // While this descriptor is open the file system lives on, without a place: closing it is what ends it.
  let unmounted = false
  try {
    unmounted = unmount(target)
  } finally {
    if (!unmounted) sysClose(held)
  }
  return unmounted ? closeInBackground(held) : undefined
}

/** One line of /proc/self/mountinfo (proc(5)). */
export interface MountEntry {
  readonly id: number
  readonly parent: number
  /** The directory of the file system that is mounted (for a bind mount of a directory, that directory). */
  readonly root: string
  readonly target: string
  readonly options: string
  /** For example `shared:1`, `master:2`. */
  readonly propagation: readonly string[]
  readonly type: string
  readonly source: string
  readonly superOptions: string
}

/** Octal escapes (`\040` for a space) as the kernel writes them in its tables. */
const unescapeOctal = (text: string): string =>
  text.includes('\\') ? text.replace(/\\([0-7]{3})/g, (_, o: string) => String.fromCharCode(parseInt(o, 8))) : text

/** Parses a mountinfo table; lines that it does not understand are left out. */
export function parseMountInfo(table: string): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of table.split('\n')) {
    const [left, right] = line.split(' - ', 2)
    if (left === undefined || right === undefined) continue
    const [id, parent, , root, target, options, ...propagation] = left.split(' ')
    const [type, source, superOptions] = right.split(' ')
    if (root === undefined || target === undefined || type === undefined) continue
    entries.push({
      id: Number(id),
      parent: Number(parent),
      root: unescapeOctal(root),
      target: unescapeOctal(target),
      options: options ?? '',
      propagation,
      type,
      source: unescapeOctal(source ?? ''),
      superOptions: superOptions ?? '',
    })
  }
  return entries
}

/** The mounts of this process's namespace, oldest first. */
export async function mountTable(): Promise<MountEntry[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** Unmounts whatever lies on or below `directory`, the latest first. Answers what was unmounted. */
export function unmountBelow(directory: string): string[] {
  const below = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
    .filter((m) => m.target === directory || m.target.startsWith(`${directory}/`))
    .reverse()
  return below.filter((m) => unmount(m.target)).map((m) => m.target)
}
