import {
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type BigIntStats,
} from 'node:fs'
import {
  AT_FDCWD,
  chmodat,
  chownat,
  close,
  getXattr,
  linkat,
  listXattr,
  mkdirat,
  mknodat,
  O,
  openat,
  pathAt,
  S,
  setXattr,
  symlinkat,
  toBytes,
  utimesat,
} from './files.ts'
import { isCode } from './libc.ts'
import { offload } from './offload.ts'

/** Whole directory trees: copy, size, removal. Small ones are done at once, large ones on a worker thread. */

/** Up to this many files, and bytes, it takes a millisecond or two: less than it takes to start a thread. */
const SMALL = { entries: 100, bytes: 2 * 1024 * 1024 }

const at = (dir: number, name: string): string => `/proc/self/fd/${dir}/${name}`
const names = (dir: number): string[] => readdirSync(`/proc/self/fd/${dir}`, { encoding: 'latin1' })
const lstatAt = (dir: number, name: string): BigIntStats => lstatSync(pathAt(dir, name), { bigint: true })
const openDirectory = (path: string): number => openat(AT_FDCWD, toBytes(path), O.rdonly | O.directory)
const openDirAt = (dir: number, name: string): number => openat(dir, name, O.rdonly | O.directory | O.nofollow)

/**
 * Copies the content of directory `from` into the existing directory `to`: owners, modes, times, extended attributes, hard links,
 * devices; blocks are shared where the file system can (reflink). The top directory's own attributes are copied too. Neither
 * side's links are followed.
 */
export const copyTree = async (from: string, to: string): Promise<void> =>
  isSmall(from) ? copyTreeSync(from, to) : offload(import.meta.url, 'copyTreeSync', [from, to])

/** Bytes of all files and links below `directory`, hard links counted once. */
export const treeSize = async (directory: string): Promise<number> =>
  isSmall(directory) ? treeSizeSync(directory) : offload(import.meta.url, 'treeSizeSync', [directory])

/** Bytes of the files below `directory` that are new or differ (size, time, mode, owner) from those below `base`. */
export const changedSize = async (directory: string, base: string): Promise<number> =>
  isSmall(directory) ? changedSizeSync(directory, base) : offload(import.meta.url, 'changedSizeSync', [directory, base])

/** Removes a tree; a missing one is no error. */
export const removeTree = async (directory: string): Promise<void> =>
  isSmall(directory) ? removeTreeSync(directory) : offload(import.meta.url, 'removeTreeSync', [directory])

class TooMuch extends Error {}

/** Whether a tree (or file, or nothing) has few files and bytes; looks at no more than that. */
function isSmall(path: string): boolean {
  let entries = 0
  let bytes = 0n
  try {
    walkTree(path, (_, stat) => {
      bytes += stat.size
      if (++entries > SMALL.entries || bytes > SMALL.bytes) throw new TooMuch()
    })
    return true
  } catch (error) {
    if (error instanceof TooMuch) return false
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return true
    throw error
  }
}

export function copyTreeSync(from: string, to: string): void {
  const source = openDirectory(from)
  try {
    const target = openDirectory(to)
    try {
      copyContent(source, target, new Map())
      copyAttributes(lstatAt(source, '.'), at(source, '.'), target, '.')
    } finally {
      close(target)
    }
  } finally {
    close(source)
  }
}

/** `links` maps inodes with several names to the first copy's place. */
function copyContent(source: number, target: number, links: Map<string, string>): void {
  for (const name of names(source)) {
    const stat = lstatAt(source, name)
    if (stat.isDirectory()) {
      mkdirat(target, name, 0o700)
      const [inner, copy] = [openDirAt(source, name), openDirAt(target, name)]
      try {
        copyContent(inner, copy, links)
      } finally {
        close(inner)
        close(copy)
      }
    } else if (!linkToCopy(stat, target, name, links)) {
      copyOne(stat, source, target, name)
    }
    copyAttributes(stat, at(source, name), target, name)
  }
}

function linkToCopy(stat: BigIntStats, target: number, name: string, links: Map<string, string>): boolean {
  if (stat.nlink < 2n) return false
  const key = `${stat.dev}:${stat.ino}`
  const first = links.get(key)
  if (first !== undefined) {
    linkat(AT_FDCWD, first, target, name)
    return true
  }
  links.set(key, `${readlinkSync(`/proc/self/fd/${target}`, { encoding: 'latin1' })}/${name}`)
  return false
}

function copyOne(stat: BigIntStats, source: number, target: number, name: string): void {
  if (stat.isFile()) {
    copyFileSync(pathAt(source, name), pathAt(target, name), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  } else if (stat.isSymbolicLink()) {
    symlinkat(readlinkSync(pathAt(source, name), { encoding: 'latin1' }), target, name)
  } else if (stat.isFIFO()) {
    mknodat(target, name, S.fifo, 0o600)
  } else if (stat.isCharacterDevice() || stat.isBlockDevice()) {
    const rdev = Number(stat.rdev)
    const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)]
    mknodat(target, name, stat.isBlockDevice() ? S.block : S.char, 0o600, major, minor)
  }
  // A socket belongs to the process that listens on it: there is nothing to copy.
}

function copyAttributes(stat: BigIntStats, source: string, target: number, name: string): void {
  if (stat.isSocket()) return
  chownat(target, name, Number(stat.uid), Number(stat.gid))
  if (!stat.isSymbolicLink()) chmodat(target, name, Number(stat.mode & 0o7777n))
  for (const attribute of listXattr(source)) {
    const value = getXattr(source, attribute)
    if (value) setXattr(at(target, name), attribute, value)
  }
  utimesat(target, name, stat.mtimeNs)
}

/**
 * Calls `visit` for everything below `dir`, parents first; `path` is a byte string. What vanishes meanwhile (a container may be at
 * work there) is left out.
 */
function walk(dir: number, path: string, visit: (path: string, stat: BigIntStats) => void): void {
  for (const name of names(dir)) {
    const stat = ifThere(() => lstatAt(dir, name))
    if (!stat) continue
    const below = path === '' ? name : `${path}/${name}`
    visit(below, stat)
    const inner = stat.isDirectory() ? ifThere(() => openDirAt(dir, name)) : undefined
    if (inner === undefined) continue
    try {
      walk(inner, below, visit)
    } finally {
      close(inner)
    }
  }
}

function ifThere<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  }
}

function walkTree(directory: string, visit: (path: string, stat: BigIntStats) => void): void {
  const dir = openDirectory(directory)
  try {
    walk(dir, '', visit)
  } finally {
    close(dir)
  }
}

export function treeSizeSync(directory: string): number {
  const seen = new Set<bigint>()
  let total = 0
  walkTree(directory, (_, stat) => {
    if (stat.isDirectory() || seen.has(stat.ino)) return
    if (stat.nlink > 1n) seen.add(stat.ino)
    total += Number(stat.size)
  })
  return total
}

export function changedSizeSync(directory: string, base: string): number {
  let total = 0
  const top = openDirectory(base)
  try {
    walkTree(directory, (path, stat) => {
      if (!stat.isDirectory() && !sameFile(stat, top, path)) total += Number(stat.size)
    })
  } finally {
    close(top)
  }
  return total
}

function sameFile(stat: BigIntStats, base: number, path: string): boolean {
  const old = ifThere(() => lstatAt(base, path))
  const facts = ['size', 'mtimeNs', 'mode', 'uid', 'gid'] as const
  return old !== undefined && facts.every((fact) => old[fact] === stat[fact])
}

export function removeTreeSync(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}

/** mkdir -p with a mode for what is made. */
export const makeDirectory = (path: string, mode = 0o755): void => void mkdirSync(path, { recursive: true, mode })
