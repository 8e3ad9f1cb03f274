import { readdirSync } from 'node:fs'
import { isCode } from '../../../shared/kernel/libc.ts'
import { chownat, close, mknodat, O, openInRoot, S, setXattr } from '../../../shared/kernel/files.ts'
import { baseOf, lstatAt, parentOf, type RootedTree } from './rooted.ts'

/** How a layer's directory says that something is gone: see the storage driver contract. */
export type DiffFormat = 'overlay' | 'full'

/** Whiteouts as the OCI image specification has them: `.wh.<name>`, and `.wh..wh..opq` for all of a directory. */
export const WHITEOUT_PREFIX = '.wh.'
const OPAQUE = '.wh..wh..opq'

/** False for AUFS's own bookkeeping (`.wh..wh.plnk` and the like), which old images carry. */
export const isWhiteout = (name: string): boolean => name === OPAQUE || !name.startsWith('.wh..wh.')

export interface Whiteout {
  readonly tree: RootedTree
  readonly path: string
  readonly format: DiffFormat
  /** What this layer itself has made, with all parent directories: whiteouts mean the layers below only. */
  readonly made: ReadonlySet<string>
  discard(dir: number, name: string): void
}

/** A directory that hides what the layers below have in it. `dir` is an open directory. */
export const markOpaque = (dir: number): void =>
  setXattr(`/proc/self/fd/${dir}/.`, 'trusted.overlay.opaque', Buffer.from('y'))

export function applyWhiteout(whiteout: Whiteout): void {
  const parent = parentOf(whiteout.path)
  const name = baseOf(whiteout.path)
  if (whiteout.format === 'full') return removeHidden(whiteout, parent, name)
  const dir = whiteout.tree.directory(parent, true)
  if (name === OPAQUE) markOpaque(dir)
  else hide(whiteout.tree, dir, parent, name.slice(WHITEOUT_PREFIX.length))
}

function hide(tree: RootedTree, dir: number, parent: string, name: string): void {
  if (name === '' || name === '.' || name === '..') return
  try {
    mknodat(dir, name, S.char, 0, 0, 0)
    chownat(dir, name, 0, 0)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
    // This layer has something of that name, which hides what is below already; a directory has to be told.
    if (lstatAt(dir, name)?.isDirectory()) markOpaque(tree.directory(parent === '' ? name : `${parent}/${name}`, false))
  }
}

function removeHidden(whiteout: Whiteout, parent: string, name: string): void {
  let dir: number
  try {
    dir = openInRoot(whiteout.tree.root, parent === '' ? '.' : parent, O.rdonly | O.directory)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return
    throw error
  }
  try {
    const hidden = name === OPAQUE ? children(dir) : [name.slice(WHITEOUT_PREFIX.length)]
    for (const child of hidden) {
      if (child === '' || child === '.' || child === '..') continue
      removeBelow(whiteout, dir, parent === '' ? child : `${parent}/${child}`, child)
    }
  } finally {
    close(dir)
  }
}

const children = (dir: number): string[] => readdirSync(`/proc/self/fd/${dir}`, { encoding: 'latin1' })

/** Removes a name unless this layer made it; of a directory that it made, what it did not make. */
function removeBelow(whiteout: Whiteout, dir: number, path: string, name: string): void {
  if (!whiteout.made.has(path)) return whiteout.discard(dir, name)
  if (!lstatAt(dir, name)?.isDirectory()) return
  const inner = openInRoot(dir, name, O.rdonly | O.directory)
  try {
    for (const child of children(inner)) removeBelow(whiteout, inner, `${path}/${child}`, child)
  } finally {
    close(inner)
  }
}
