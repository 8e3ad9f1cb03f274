import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { invalid } from '../../../shared/errors/index.ts'
import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import { removeTree } from '../../../shared/kernel/tree.ts'
import type { Logger } from '../../../shared/log/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { chainId } from '../images/config.ts'
import { Locks } from '../../../shared/async/locks.ts'
import { extract } from '../unpack/extract.ts'
import type { DiffFormat } from '../unpack/whiteouts.ts'
import { makeMountPoints } from './init.ts'
import type { LayerRow } from './rows.ts'

export interface RegisterRequest {
  readonly driver: StorageDriver
  readonly parent: LayerRow | undefined
  /** The layer's tar, compressed or not: a stream, or a file's path. */
  readonly source: AsyncIterable<Uint8Array> | string
  /** The digest that it must have. */
  readonly diffId?: string
  /** Refuse a tar without end marker (one whose digest is known needs none). */
  readonly strict: boolean
}

/**
 * Read-only layers: which there are, who uses them, and their removal when nobody does. A layer is used by images, by layers on it,
 * by containers, and by operations under way (`hold`).
 */
export class LayerStore {
  readonly #store: Store
  readonly #drivers: DriverSet<StorageDriver>
  readonly #log: Logger
  readonly #directory: string
  readonly #held = new Map<string, number>()
  readonly #locks = new Locks()

  constructor(store: Store, drivers: DriverSet<StorageDriver>, stateDir: string, log: Logger) {
    this.#store = store
    this.#drivers = drivers
    this.#log = log
    this.#directory = join(stateDir, 'layers')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  /** What was not content in the layer's tar (tar/split.ts), and the files that its tar replaced itself. */
  splitPath = (id: string): string => join(this.#directory, `${id}.split`)
  replacedPath = (id: string): string => join(this.#directory, `${id}.replaced`)

  get(id: string): LayerRow {
    const row = this.#store.get<LayerRow>('SELECT * FROM layers WHERE id = ?', id)
    if (!row) throw new Error(`the database has no layer ${id}`)
    return row
  }

  byChain(driver: string, chain: string): LayerRow | undefined {
    return this.#store.get<LayerRow>('SELECT * FROM layers WHERE driver = ? AND chain_id = ?', driver, chain)
  }

  /** From the lowest to `id`. */
  stack(id: string | null): LayerRow[] {
    const rows: LayerRow[] = []
    for (let at = id; at !== null;) {
      const row = this.get(at)
      rows.unshift(row)
      at = row.parent
    }
    return rows
  }

  /** Keeps a layer while an operation needs it; answers the way to let go of it, which removes it if nobody uses it. */
  hold(id: string): () => Promise<void> {
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1)
    let released = false
    return async () => {
      if (released) return
      released = true
      const left = (this.#held.get(id) ?? 1) - 1
      if (left > 0) this.#held.set(id, left)
      else this.#held.delete(id)
      await this.sweep(id)
    }
  }

  /**
   * Makes a layer from a tar. When there is one of the same content already, that one is the answer. The caller must hold the
   * parent, and gets the new layer held: it is gone after `release` unless somebody uses it by then.
   */
  async register(request: RegisterRequest): Promise<{ layer: LayerRow; release: () => Promise<void> }> {
    const { driver, parent } = request
    const depth = (parent?.depth ?? 0) + 1
    const max = Number(driver.manifest.capabilities['maxDepth'] ?? 0)
    if (max > 0 && depth > max) throw invalid(`max depth exceeded: ${driver.manifest.name} can stack ${max} layers`)
    const id = randomBytes(16).toString('hex')
    try {
      const made = await this.#fill(id, request)
      const row = this.#insert(id, request, depth, made)
      const release = this.hold(row.id)
      if (row.id !== id) await this.#discard(driver, id)
      return { layer: row, release }
    } catch (error) {
      await this.#discard(driver, id).catch((e: unknown) => this.#log.warn({ err: e, layer: id }, 'half a layer stays'))
      throw error
    }
  }

  async #fill(id: string, { driver, parent, source, strict, diffId }: RegisterRequest) {
    await driver.createLayer(id, parent?.id ?? null)
    const made = await extract(
      {
        root: await driver.prepare(id),
        format: driver.manifest.capabilities['diffFormat'] as DiffFormat,
        split: this.splitPath(id),
        replaced: this.replacedPath(id),
        strict,
      },
      source,
    )
    if (diffId !== undefined && diffId !== made.diffId) {
      throw invalid(`invalid diffID for layer: expected "${diffId}", got "${made.diffId}"`)
    }
    await driver.commit(id)
    return made
  }

  #insert(
    id: string,
    { driver, parent }: RegisterRequest,
    depth: number,
    made: { diffId: string; size: number; tarSize: number },
  ): LayerRow {
    const chain = chainId(parent?.chain_id, made.diffId)
    return this.#store.transaction(() => {
      const there = this.byChain(driver.manifest.name, chain)
      if (there) return there
      this.#store.run(
        'INSERT INTO layers (id, driver, chain_id, diff_id, parent, depth, size, tar_size, created) VALUES (?,?,?,?,?,?,?,?,?)',
        ...[id, driver.manifest.name, chain, made.diffId, parent?.id ?? null],
        ...[depth, made.size, made.tarSize, Date.now()],
      )
      return this.get(id)
    })
  }

  async #discard(driver: StorageDriver, id: string): Promise<void> {
    await driver.remove(id)
    await rm(this.splitPath(id), { force: true })
    await rm(this.replacedPath(id), { recursive: true, force: true })
  }

  /**
   * The driver's layer that a container's writable one goes on: the image's, with mount points in it (layers/init.ts). One for each
   * image layer, made when the first container needs it. The caller must hold `id`.
   */
  initLayer(id: string): Promise<string> {
    return this.#locks.run(id, async () => {
      const row = this.get(id)
      if (row.init !== null) return row.init
      const driver = this.#drivers.get(row.driver)
      const init = `${randomBytes(16).toString('hex')}-init`
      await makeMountPoints(driver, init, id)
      this.#store.run('UPDATE layers SET init = ? WHERE id = ?', init, id)
      return init
    })
  }

  /** Whether an image, a layer, a container or an operation needs the layer. */
  #used(id: string): boolean {
    const row = this.#store.get(
      `SELECT 1 FROM layers WHERE parent = ? UNION ALL SELECT 1 FROM images WHERE layer = ?
       UNION ALL SELECT 1 FROM rootfs WHERE layer = ? LIMIT 1`,
      ...[id, id, id],
    )
    return row !== undefined || this.#held.has(id)
  }

  /** Removes `id` if nobody uses it, then what only it used. Answers what was removed, the topmost first. */
  async sweep(id: string | null): Promise<LayerRow[]> {
    const removed: LayerRow[] = []
    for (let at = id; at !== null;) {
      const row = this.#store.get<LayerRow>('SELECT * FROM layers WHERE id = ?', at)
      if (!row || this.#used(at)) break
      // The record goes first: what dies here leaves files that recovery finds, not a record without files.
      this.#store.run('DELETE FROM layers WHERE id = ?', at)
      removed.push(row)
      at = row.parent
    }
    for (const row of removed) await this.#removeFiles(row)
    return removed
  }

  async #removeFiles(row: LayerRow): Promise<void> {
    try {
      const driver = this.#drivers.get(row.driver)
      if (row.init !== null) await driver.remove(row.init)
      await this.#discard(driver, row.id)
    } catch (error) {
      this.#log.warn({ err: error, layer: row.id }, 'the files of a removed layer stay until the next start')
    }
  }

  /** Driver's layers that have an owner: read-only ones, their init layers, containers'. */
  known(driver: string): Set<string> {
    const rows = this.#store.all<{ id: string }>(
      `SELECT id FROM layers WHERE driver = ? UNION ALL SELECT init FROM layers WHERE driver = ? AND init IS NOT NULL
       UNION ALL SELECT id FROM rootfs WHERE driver = ?`,
      ...[driver, driver, driver],
    )
    return new Set(rows.map((row) => row.id))
  }

  /** At start: removes layers that nothing uses, and files that belong to no layer. */
  async recover(): Promise<void> {
    const unused = this.#store.all<{ id: string }>(
      `SELECT id FROM layers WHERE id NOT IN (SELECT layer FROM images WHERE layer IS NOT NULL)
       AND id NOT IN (SELECT layer FROM rootfs WHERE layer IS NOT NULL)
       AND id NOT IN (SELECT parent FROM layers WHERE parent IS NOT NULL)`,
    )
    for (const { id } of unused) await this.sweep(id)
    const ids = new Set(this.#store.all<{ id: string }>('SELECT id FROM layers').map((row) => row.id))
    for (const name of readdirSync(this.#directory)) {
      if (!ids.has(name.replace(/\.(split|replaced)$/, ''))) await removeTree(join(this.#directory, name))
    }
  }
}
