import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { conflict, invalid, notFound } from '../../../shared/errors/index.ts'
import type { DriverContext, ProbeResult, StorageDriver } from '../../../shared/drivers/index.ts'
import { changedSize, copyTree, removeTree, treeSize } from '../../../shared/kernel/tree.ts'
import { manifest } from './config.ts'

/**
 * A storage driver to copy: it keeps each layer as a whole tree, `<id>/tree`, and knows its parent from `<id>/parent`. It passes the
 * conformance suite; replace its parts one by one by what your file system does better.
 */
export class TemplateDriver implements StorageDriver {
  readonly manifest = manifest
  readonly #stateDir: string
  readonly #runDir: string

  constructor(context: DriverContext) {
    this.#stateDir = context.stateDir
    this.#runDir = context.runDir
  }

  // Really try what the driver needs (a mount, an ioctl), and say in `reason` what is missing and how to get it.
  async probe(): Promise<ProbeResult> {
    return { usable: true, rank: 0 }
  }

  #tree(id: string): string {
    const tree = join(this.#stateDir, id, 'tree')
    if (!existsSync(tree)) throw notFound(`no such layer: ${id}`)
    return tree
  }

  #parent = (id: string): string => readFileSync(join(this.#stateDir, id, 'parent'), 'utf8')

  #ids = (): string[] => readdirSync(this.#stateDir).filter((name) => !name.startsWith('.'))

  // A crash may come between any two lines: what has its final name is complete, and `recover` removes the rest.
  async createLayer(id: string, parent: string | null): Promise<void> {
    if (existsSync(join(this.#stateDir, id))) return
    const from = parent === null ? undefined : this.#tree(parent)
    const building = join(this.#stateDir, `.new-${id}`)
    rmSync(building, { recursive: true, force: true })
    mkdirSync(join(building, 'tree'), { recursive: true, mode: 0o755 })
    writeFileSync(join(building, 'parent'), parent ?? '')
    if (from !== undefined) await copyTree(from, join(building, 'tree'))
    renameSync(building, join(this.#stateDir, id))
  }

  async prepare(id: string): Promise<string> {
    return this.#tree(id)
  }

  // A driver with snapshots makes the layer read-only here.
  async commit(id: string): Promise<void> {
    this.#tree(id)
    if (await this.mounted(id)) throw conflict(`layer ${id} is mounted: unmount it first`)
  }

  async createWritable(id: string, parent: string | null, options: Readonly<Record<string, string>>): Promise<void> {
    const [option] = Object.keys(options)
    if (option !== undefined) throw invalid(`unknown storage option ${option}`)
    await this.createLayer(id, parent)
  }

  // A driver that mounts asks the kernel in `mounted`; this one has nothing to mount and keeps a mark that a reboot removes.
  async mount(id: string): Promise<string> {
    const tree = this.#tree(id)
    writeFileSync(join(this.#runDir, id), '')
    return tree
  }

  async unmount(id: string): Promise<void> {
    rmSync(join(this.#runDir, id), { force: true })
  }

  async mounted(id: string): Promise<boolean> {
    return existsSync(join(this.#runDir, id))
  }

  async remove(id: string): Promise<void> {
    const child = this.#ids().find((other) => this.#parent(other) === id)
    if (child !== undefined) throw conflict(`layer ${id} has a layer on it: ${child}`)
    await this.unmount(id)
    await this.#discard(id)
  }

  // First out of sight, then removed: what has its name is whole.
  async #discard(id: string): Promise<void> {
    if (!existsSync(join(this.#stateDir, id))) return
    renameSync(join(this.#stateDir, id), join(this.#stateDir, `.removed-${id}`))
    await removeTree(join(this.#stateDir, `.removed-${id}`))
  }

  async size(id: string): Promise<number> {
    const tree = this.#tree(id)
    const parent = this.#parent(id)
    return parent === '' ? treeSize(tree) : changedSize(tree, this.#tree(parent))
  }

  async data(id: string): Promise<Readonly<Record<string, string>>> {
    return { Dir: this.#tree(id) }
  }

  async recover(known: ReadonlySet<string>): Promise<readonly string[]> {
    const orphans = this.#ids().filter((id) => !known.has(id))
    const halves = readdirSync(this.#stateDir).filter((name) => name.startsWith('.'))
    for (const name of [...orphans, ...halves]) await removeTree(join(this.#stateDir, name))
    for (const id of readdirSync(this.#runDir)) if (!known.has(id)) await this.unmount(id)
    return orphans
  }

  async status(): Promise<readonly (readonly [string, string])[]> {
    return []
  }

  async close(): Promise<void> {}
}
