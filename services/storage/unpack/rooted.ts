import { lstatSync, type Stats } from 'node:fs'
import { invalid } from '../../../shared/errors/index.ts'
import {
  AT_FDCWD,
  chmodat,
  close,
  mkdirat,
  O,
  openat,
  openInRoot,
  pathAt,
  toBytes,
} from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'

const MAX_OPEN = 256

/** A name in an archive as a clean path below the root ('' for the root itself); `invalid` when it leads out of it. */
export function cleanPath(name: string): string {
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) {
      throw invalid(`${JSON.stringify(Buffer.from(name, 'latin1').toString())} leads out of the archive's root`)
    }
  }
  return parts.join('/')
}

export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
export const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/**
 * A directory that nothing reaches out of: every parent directory is opened as if the root were `/` (openat2, RESOLVE_IN_ROOT),
 * and all changes are made relative to that open directory. Paths are byte strings.
 */
export class RootedTree {
  readonly root: number
  /** Open directories, by path; the oldest is closed when there are many. */
  readonly #open = new Map<string, number>()

  constructor(directory: string) {
    this.root = openat(AT_FDCWD, toBytes(directory), O.rdonly | O.directory)
  }

  /** An open directory, good until the next call; missing ones are made (root's, 0755) when `make` says so. */
  directory(path: string, make: boolean): number {
    if (path === '') return this.root
    const cached = this.#open.get(path)
    if (cached !== undefined) return cached
    const fd = this.#openOrMake(path, make)
    if (this.#open.size >= MAX_OPEN) this.#closeOldest()
    this.#open.set(path, fd)
    return fd
  }

  #openOrMake(path: string, make: boolean): number {
    try {
      return openInRoot(this.root, path, O.path | O.directory)
    } catch (error) {
      if (!make || !isCode(error, 'ENOENT')) throw error
    }
    const parent = this.directory(parentOf(path), true)
    const name = baseOf(path)
    try {
      mkdirat(parent, name, 0o755)
      chmodat(parent, name, 0o755)
    } catch (error) {
      // A link that leads nowhere stands here: its target would have to be made, which is more than is asked for.
      if (isCode(error, 'EEXIST')) throw invalid(`${JSON.stringify(path)} is a link to a missing directory`)
      throw error
    }
    return openInRoot(this.root, path, O.path | O.directory)
  }

  #closeOldest(): void {
    const [path, fd] = this.#open.entries().next().value ?? []
    if (path === undefined || fd === undefined) return
    close(fd)
    this.#open.delete(path)
  }

  /** To be called when a directory or link was removed or replaced: what was opened through it may be elsewhere. */
  forget(): void {
    for (const fd of this.#open.values()) close(fd)
    this.#open.clear()
  }

  close(): void {
    this.forget()
    close(this.root)
  }
}

/** lstat(2) relative to an open directory; undefined when there is nothing. */
export function lstatAt(dir: number, name: string): Stats | undefined {
  return lstatSync(pathAt(dir, name), { throwIfNoEntry: false })
}
