import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { conflict, invalid, notFound } from '../../../shared/errors/index.ts'
import type { DriverContext, ProbeResult, StorageDriver } from '../../../shared/drivers/index.ts'
import { fileSystemOf } from '../../../shared/kernel/filesystem.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { changedSize, copyTree, removeTree, treeSize } from '../../../shared/kernel/tree.ts'
import { manifest } from './config.ts'

/**
 * Layers as whole copies: works on every file system, and shares blocks where it has reflinks (XFS, btrfs). `<id>/fs` is the
 * tree, `<id>/parent` the parent's id; a layer is made as `.new-*` and renamed, so that what has its name is complete.
 */
export class VfsDriver implements StorageDriver {
  readonly manifest = manifest
  readonly #root: string
  /** A file for each layer that `mount` handed out: there is no mount in the kernel to ask for, and a reboot ends them all. */
  readonly #mounts: string

  constructor(context: DriverContext) {
    this.#root = context.stateDir
    this.#mounts = join(context.runDir, 'mounted')
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    mkdirSync(this.#mounts, { recursive: true, mode: 0o700 })
  }

  async probe(): Promise<ProbeResult> {
    return { usable: true, rank: 1 }
  }

  #dir = (id: string): string => join(this.#root, id)
  #tree = (id: string): string => join(this.#root, id, 'fs')

  #existing(id: string): string {
    if (!existsSync(this.#tree(id))) throw notFound(`no such layer: ${id}`)
    return this.#tree(id)
  }

  async createLayer(id: string, parent: string | null): Promise<void> {
    if (existsSync(this.#tree(id))) return
    const from = parent === null ? undefined : this.#existing(parent)
    const building = join(this.#root, `.new-${id}-${randomBytes(4).toString('hex')}`)
    mkdirSync(join(building, 'fs'), { recursive: true, mode: 0o755 })
    if (from !== undefined) await copyTree(from, join(building, 'fs'))
    writeFileSync(join(building, 'parent'), parent ?? '')
    renameSync(building, this.#dir(id))
  }

  async prepare(id: string): Promise<string> {
    return this.#existing(id)
  }

  async commit(id: string): Promise<void> {
    this.#existing(id)
    if (await this.mounted(id)) throw conflict(`layer ${id} is mounted: unmount it before it becomes read-only`)
  }

  async createWritable(id: string, parent: string | null, options: Readonly<Record<string, string>>): Promise<void> {
    const option = Object.keys(options)[0]
    if (option !== undefined) throw invalid(`vfs: --storage-opt ${option} is not supported`)
    await this.createLayer(id, parent)
  }

  async mount(id: string): Promise<string> {
    const path = this.#existing(id)
    writeFileSync(join(this.#mounts, id), '')
    return path
  }

  async unmount(id: string): Promise<void> {
    rmSync(join(this.#mounts, id), { force: true })
  }

  async mounted(id: string): Promise<boolean> {
    return existsSync(join(this.#mounts, id))
  }

  async remove(id: string): Promise<void> {
    const child = this.#ids().find((other) => this.#parent(other) === id)
    if (child !== undefined) throw conflict(`layer ${id} has a layer on it: ${child}`)
    await this.unmount(id)
    await this.#discard(id)
  }

  #parent(id: string): string | undefined {
    try {
      return readFileSync(join(this.#dir(id), 'parent'), 'utf8') || undefined
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined
      throw error
    }
  }

  #ids = (): string[] => readdirSync(this.#root).filter((name) => !name.startsWith('.'))

  async #discard(id: string): Promise<void> {
    const trash = join(this.#root, `.removed-${id}-${randomBytes(4).toString('hex')}`)
    try {
      renameSync(this.#dir(id), trash)
    } catch (error) {
      if (isCode(error, 'ENOENT')) return
      throw error
    }
    await removeTree(trash)
  }

  size(id: string): Promise<number> {
    const tree = this.#existing(id)
    const parent = this.#parent(id)
    return parent === undefined ? treeSize(tree) : changedSize(tree, this.#tree(parent))
  }

  async data(id: string): Promise<Readonly<Record<string, string>>> {
    return { Dir: this.#existing(id) }
  }

  async recover(known: ReadonlySet<string>): Promise<readonly string[]> {
    const orphans = this.#ids().filter((id) => !known.has(id))
    for (const id of orphans) await this.#discard(id)
    for (const id of readdirSync(this.#mounts)) if (!known.has(id)) await this.unmount(id)
    const halves = readdirSync(this.#root).filter((name) => name.startsWith('.'))
    for (const name of halves) await removeTree(join(this.#root, name))
    return orphans
  }

  async status(): Promise<readonly (readonly [string, string])[]> {
    return [['Backing Filesystem', fileSystemOf(this.#root)]]
  }

  async close(): Promise<void> {}
}
