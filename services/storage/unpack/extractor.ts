import { copyFileSync, readdirSync, renameSync, rmdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { invalid } from '../../../shared/errors/index.ts'
import {
  close,
  linkat,
  mkdirat,
  mknodat,
  O,
  openat,
  pathAt,
  S,
  symlinkat,
  unlinkat,
  utimesat,
} from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import type { TarEntry, TarSink } from '../tar/entry.ts'
import type { SplitWriter } from '../tar/split.ts'
import { setAttributes, setFileAttributes } from './attributes.ts'
import { baseOf, cleanPath, lstatAt, parentOf, RootedTree } from './rooted.ts'
import { applyWhiteout, isWhiteout, markOpaque, WHITEOUT_PREFIX, type DiffFormat } from './whiteouts.ts'

export interface ExtractOptions {
  readonly root: string
  readonly format: DiffFormat
  readonly split: SplitWriter
  /** Where files go that a later entry of the same archive replaces: the archive cannot be put together without them. */
  readonly replaced: string
}

/** Extracts a layer's tar below a root that it cannot leave. */
export class Extractor implements TarSink {
  readonly #options: ExtractOptions
  readonly #tree: RootedTree
  readonly #directories = new Map<string, bigint>()
  /** Everything this archive has made, for whiteouts in the 'full' form, which spare it. */
  readonly #made = new Set<string>()
  /** Inode to index in the split file. */
  readonly #indices = new Map<number, number>()
  #entry: TarEntry | undefined
  #fd: number | undefined
  /** Bytes of files and links, as Docker counts them. */
  size = 0

  constructor(options: ExtractOptions) {
    this.#options = options
    this.#tree = new RootedTree(options.root)
  }

  raw(bytes: Buffer): void {
    this.#options.split.raw(bytes)
  }

  entry(entry: TarEntry): void {
    this.#entry = entry
    const path = cleanPath(entry.name)
    const name = baseOf(path)
    if (name.startsWith(WHITEOUT_PREFIX)) this.#whiteout(entry, path)
    else if (path === '') this.#rootDirectory(entry)
    else this.#make(entry, path, name)
  }

  #whiteout(entry: TarEntry, path: string): void {
    // Its content, if it has any, is in no file: the archive keeps it.
    if (entry.size > 0) throw invalid(`tar: the whiteout ${JSON.stringify(entry.name)} has content`)
    if (!isWhiteout(baseOf(path))) return
    const { format } = this.#options
    const discard = (dir: number, name: string): void => this.#discard(dir, name)
    applyWhiteout({ tree: this.#tree, path, format, made: this.#made, discard })
  }

  /** The root keeps its own mode and owner, as with Docker: an archive made of a private directory must not lock users out. */
  #rootDirectory(entry: TarEntry): void {
    if (entry.type !== 'directory') throw invalid(`tar: the root directory is a ${entry.type} in this archive`)
  }

  #make(entry: TarEntry, path: string, name: string): void {
    const dir = this.#parent(path)
    if (this.#options.format === 'full') this.#remember(path)
    switch (entry.type) {
      case 'file':
        this.#fd = this.#replacing(dir, path, () => openat(dir, name, O.wronly | O.creat | O.excl | O.nofollow, 0o600))
        if (entry.size > 0) this.#record(entry, path, name, dir)
        return
      case 'directory':
        this.#makeDirectory(dir, name, path)
        this.#directories.set(path, entry.mtime)
        break
      case 'symlink':
        this.size += entry.linkname.length
        this.#replacing(dir, path, () => symlinkat(entry.linkname, dir, name))
        break
      case 'link':
        return this.#link(entry, dir, path)
      case 'char':
        this.#replacing(dir, path, () => mknodat(dir, name, S.char, 0o600, entry.major, entry.minor))
        break
      case 'block':
        this.#replacing(dir, path, () => mknodat(dir, name, S.block, 0o600, entry.major, entry.minor))
        break
      case 'fifo':
        this.#replacing(dir, path, () => mknodat(dir, name, S.fifo, 0o600))
        break
    }
    setAttributes(entry, dir, name)
  }

  #remember(path: string): void {
    for (let p = path; p !== '' && !this.#made.has(p); p = parentOf(p)) this.#made.add(p)
  }

  #parent(path: string): number {
    try {
      return this.#tree.directory(parentOf(path), true)
    } catch (error) {
      if (isCode(error, 'ENOTDIR', 'ELOOP')) throw invalid(`tar: the parent of ${JSON.stringify(path)} is no directory`)
      throw error
    }
  }

  /** Does it; when the name is taken, removes what is there and does it again. */
  #replacing<T>(dir: number, path: string, make: () => T): T {
    try {
      return make()
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
    }
    this.#clear(dir, path)
    return make()
  }

  #makeDirectory(dir: number, name: string, path: string): void {
    try {
      return mkdirat(dir, name, 0o700)
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
    }
    const there = lstatAt(dir, name)
    if (there?.isDirectory()) return
    const whiteout = this.#options.format === 'overlay' && there?.isCharacterDevice() && there.rdev === 0
    this.#clear(dir, path)
    mkdirat(dir, name, 0o700)
    // The layers below have something of this name that the whiteout hid: the new directory must go on hiding it.
    if (whiteout) markOpaque(this.#tree.directory(path, false))
  }

  #link(entry: TarEntry, dir: number, path: string): void {
    const target = cleanPath(entry.linkname)
    const name = baseOf(path)
    try {
      const from = this.#tree.directory(parentOf(target), false)
      const [there, self] = [lstatAt(from, baseOf(target)), lstatAt(dir, name)]
      // A second link to itself changes nothing; removing it first would remove the file.
      if (there && self && there.ino === self.ino && there.dev === self.dev) return
      if (there?.isDirectory()) throw invalid(`tar: ${JSON.stringify(entry.name)} is a hard link to a directory`)
      if (self) this.#clear(dir, path)
      linkat(this.#tree.directory(parentOf(target), false), baseOf(target), dir, name)
    } catch (error) {
      if (!isCode(error, 'ENOENT', 'ENOTDIR')) throw error
      throw invalid(`tar: ${JSON.stringify(entry.name)}: the hard link's target ${JSON.stringify(target)} is missing`)
    }
  }

  #record(entry: TarEntry, path: string, name: string, dir: number): void {
    const index = this.#options.split.file(path, entry.size)
    const inode = lstatAt(dir, name)?.ino
    if (inode !== undefined) this.#indices.set(inode, index)
    this.size += entry.size
  }

  data(bytes: Buffer): void {
    if (this.#fd === undefined) return
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at)
  }

  entryEnd(): void {
    const [fd, entry] = [this.#fd, this.#entry]
    this.#fd = undefined
    if (fd === undefined || entry === undefined) return
    try {
      setFileAttributes(entry, fd)
    } finally {
      close(fd)
    }
  }

  /** Makes room at a path that this archive has taken before, or (in the 'full' form) a layer below. */
  #clear(dir: number, path: string): void {
    this.#discard(dir, baseOf(path))
    if (!this.#directories.delete(path)) return
    for (const other of this.#directories.keys()) if (other.startsWith(`${path}/`)) this.#directories.delete(other)
  }

  /** Removes a name and what is below it; contents that the archive needs are put aside. */
  #discard(dir: number, name: string): void {
    const stat = lstatAt(dir, name)
    if (!stat) return
    if (stat.isDirectory()) {
      const inner = openat(dir, name, O.rdonly | O.directory | O.nofollow)
      try {
        for (const child of readdirSync(`/proc/self/fd/${inner}`, { encoding: 'latin1' })) this.#discard(inner, child)
      } finally {
        close(inner)
      }
      rmdirSync(pathAt(dir, name))
      this.#tree.forget()
      return
    }
    const index = stat.isFile() ? this.#indices.get(stat.ino) : undefined
    if (index === undefined) unlinkat(dir, name)
    else this.#putAside(dir, name, index)
    if (stat.isSymbolicLink()) this.#tree.forget()
  }

  #putAside(dir: number, name: string, index: number): void {
    const aside = join(this.#options.replaced, String(index))
    try {
      renameSync(pathAt(dir, name), aside)
    } catch (error) {
      if (!isCode(error, 'EXDEV')) throw error
      copyFileSync(pathAt(dir, name), aside)
      unlinkat(dir, name)
    }
  }

  /** Directory times, which extracting their content has changed. */
  finish(): void {
    for (const [path, mtime] of this.#directories) {
      try {
        utimesat(this.#tree.directory(parentOf(path), false), baseOf(path), mtime)
      } catch (error) {
        // Replaced later on, through a link that made it another name.
        if (!isCode(error, 'ENOENT', 'ENOTDIR')) throw error
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined) close(this.#fd)
    this.#fd = undefined
    this.#tree.close()
  }
}
