import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { conflict, invalid } from '../../../shared/errors/index.ts'
import type { DriverContext, ProbeResult, StorageDriver } from '../../../shared/drivers/index.ts'
import { AT_FDCWD, close, O, openat, toBytes } from '../../../shared/kernel/files.ts'
import { fileSystemOf } from '../../../shared/kernel/filesystem.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { detach, mount, MS, unmount, unmountBelow } from '../../../shared/kernel/mounts.ts'
import { removeTree, treeSize } from '../../../shared/kernel/tree.ts'
import { manifest } from './config.ts'
import { Layout } from './layout.ts'
import { fits, overlayOptions } from './options.ts'

const openDirectory = (path: string): number => openat(AT_FDCWD, toBytes(path), O.path | O.directory)

export class Overlay2Driver implements StorageDriver {
  readonly manifest = manifest
  readonly #layout: Layout
  /** Unmounted layers whose file system the kernel still writes back. */
  readonly #closing = new Map<string, Promise<void>>()

  constructor(context: DriverContext) {
    this.#layout = new Layout(context.stateDir)
  }

  /** Mounts two layers and looks whether the upper one takes a file: that says more than any version number. */
  async probe(): Promise<ProbeResult> {
    const dir = mkdtempSync(join(this.#layout.root, '.probe-'))
    try {
      for (const name of ['l', 'x', 'x/lower', 'x/diff', 'x/work', 'x/merged']) mkdirSync(join(dir, name))
      const lower = ['../x/lower']
      mount(
        'overlay',
        join(dir, 'x/merged'),
        'overlay',
        0,
        overlayOptions({ lower, links: join(dir, 'l'), layer: join(dir, 'x') }),
      )
      writeFileSync(join(dir, 'x/merged/file'), '')
      statSync(join(dir, 'x/diff/file'))
      return { usable: true, rank: 100 }
    } catch (error) {
      const kind = fileSystemOf(dir)
      return { usable: false, reason: `cannot mount overlayfs on ${kind} below ${this.#layout.root}: ${String(error)}` }
    } finally {
      unmount(join(dir, 'x/merged'))
      rmSync(dir, { recursive: true, force: true })
    }
  }

  async createLayer(id: string, parent: string | null): Promise<void> {
    this.#layout.create(id, parent, false)
  }

  async prepare(id: string): Promise<string> {
    this.#layout.lower(id)
    return this.#layout.diff(id)
  }

  async commit(id: string): Promise<void> {
    this.#layout.lower(id)
    if (this.#mounted(id)) throw conflict(`layer ${id} is mounted: unmount it before it becomes read-only`)
    rmSync(this.#layout.work(id), { recursive: true, force: true })
    rmSync(this.#layout.merged(id), { recursive: true, force: true })
  }

  async createWritable(id: string, parent: string | null, options: Readonly<Record<string, string>>): Promise<void> {
    const option = Object.keys(options)[0]
    if (option === 'size') {
      throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    }
    if (option !== undefined) throw invalid(`overlay2: unknown option ${option}`)
    this.#layout.create(id, parent, true)
  }

  async mount(id: string): Promise<string> {
    const merged = this.#layout.merged(id)
    const lower = this.#layout.lower(id)
    if (this.#mounted(id)) return merged
    // Two overlays must not have one upper directory, not even for a moment.
    await this.#closing.get(id)
    if (this.#mounted(id)) return merged
    if (lower.length === 0) mount(this.#layout.diff(id), merged, null, MS.bind, null)
    else this.#mountOverlay(id, lower, merged)
    return merged
  }

  #mountOverlay(id: string, lower: readonly string[], merged: string): void {
    const [links, layer] = [this.#layout.links, this.#layout.dir(id)]
    const options = overlayOptions({ lower, links, layer })
    if (fits(options)) return mount('overlay', merged, 'overlay', 0, options)
    const [linksFd, layerFd] = [openDirectory(links), openDirectory(layer)]
    try {
      const short = { lower, links: `/proc/self/fd/${linksFd}`, layer: `/proc/self/fd/${layerFd}` }
      mount('overlay', merged, 'overlay', 0, overlayOptions(short))
    } finally {
      close(linksFd)
      close(layerFd)
    }
  }

  async unmount(id: string): Promise<void> {
    while (this.#mounted(id)) {
      const closing = detach(this.#layout.merged(id))
      if (!closing) return
      this.#closing.set(id, closing)
      void closing.then(() => this.#closing.get(id) === closing && this.#closing.delete(id))
    }
  }

  async mounted(id: string): Promise<boolean> {
    return this.#mounted(id)
  }

  #mounted(id: string): boolean {
    try {
      // A bind mount of `diff` (a layer on nothing) has the same device: its inode tells.
      const [top, below] = [statSync(this.#layout.merged(id)), statSync(this.#layout.dir(id))]
      return top.dev !== below.dev || top.ino === statSync(this.#layout.diff(id)).ino
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ENOTDIR')) return false
      throw error
    }
  }

  async remove(id: string): Promise<void> {
    const child = this.#layout.childOf(id)
    if (child !== undefined) throw conflict(`layer ${id} has a layer on it: ${child}`)
    await this.unmount(id)
    const trash = this.#layout.discard(id)
    if (trash !== undefined) await removeTree(trash)
  }

  size(id: string): Promise<number> {
    this.#layout.lower(id)
    return treeSize(this.#layout.diff(id))
  }

  async data(id: string): Promise<Readonly<Record<string, string>>> {
    const lower = this.#layout.lower(id).map((link) => this.#layout.resolve(link))
    return {
      ...(lower.length === 0 ? {} : { LowerDir: lower.join(':') }),
      MergedDir: this.#layout.merged(id),
      UpperDir: this.#layout.diff(id),
      WorkDir: this.#layout.work(id),
    }
  }

  async recover(known: ReadonlySet<string>): Promise<readonly string[]> {
    const orphans = this.#layout.ids().filter((id) => !known.has(id))
    for (const id of orphans) {
      unmountBelow(this.#layout.dir(id))
      const trash = this.#layout.discard(id)
      if (trash !== undefined) await removeTree(trash)
    }
    for (const path of this.#layout.leftovers()) {
      unmountBelow(path)
      await removeTree(path)
    }
    return orphans
  }

  async status(): Promise<readonly (readonly [string, string])[]> {
    return [
      ['Backing Filesystem', fileSystemOf(this.#layout.root)],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ]
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.values())
  }
}
