import { conflict, GantryError, notFound, toGantryError } from '../../../shared/errors/index.ts'
import type { DriverSet, VolumeDriver } from '../../../shared/drivers/index.ts'
import type { Json } from '../../../shared/contracts/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { Locks } from '../../../shared/async/locks.ts'
import { ANONYMOUS_LABEL, checkVolumeName } from './names.ts'
import { stateOf, wordsOf, type VolumeRow, type Words } from './rows.ts'

export const DEFAULT_VOLUME_DRIVER = 'local'

export interface NewVolume {
  readonly name: string
  /** Empty: `local`, or that of the volume that is there. */
  readonly driver: string
  readonly options: Words
  readonly labels: Words
  readonly anonymous: boolean
}

/**
 * Volumes and who uses them. A volume is recorded as `creating` before its driver is asked, and as `removing` before it is deleted,
 * so that what dies in between is finished at the next start.
 */
export class VolumeStore {
  readonly #store: Store
  readonly #drivers: DriverSet<VolumeDriver>
  readonly #locks = new Locks()

  constructor(store: Store, drivers: DriverSet<VolumeDriver>) {
    this.#store = store
    this.#drivers = drivers
  }

  /** Serialises work on a volume. */
  locked = <T>(name: string, work: () => Promise<T>): Promise<T> => this.#locks.run(name, work)

  find(name: string): VolumeRow | undefined {
    return this.#store.get<VolumeRow>("SELECT * FROM volumes WHERE name = ? AND status <> 'removing'", name)
  }

  get(name: string): VolumeRow {
    const row = this.find(name)
    if (row?.status !== 'ready') throw notFound(`get ${name}: no such volume`)
    return row
  }

  /** Containers that have the volume. */
  users(name: string): string[] {
    return this.#store
      .all<{ container: string }>('SELECT container FROM volume_users WHERE volume = ? ORDER BY container', name)
      .map((row) => row.container)
  }

  /** Makes a volume; one of this name that is there is the answer, unless another driver has it (`conflict`). */
  create(volume: NewVolume): Promise<VolumeRow> {
    return this.locked(volume.name, async () => {
      const { row, fresh } = await this.prepare(volume)
      if (fresh) this.#store.transaction(() => this.finish(row))
      return this.get(volume.name)
    })
  }

  /**
   * The first half of `create`: the volume is there but is forgotten at the next start unless `finish` comes. For callers that hold
   * the volume's lock.
   */
  async prepare(volume: NewVolume): Promise<{ row: VolumeRow; fresh: boolean }> {
    checkVolumeName(volume.name)
    const there = this.find(volume.name)
    if (there?.status === 'ready') {
      if (volume.driver !== '' && volume.driver !== there.driver) {
        throw conflict(`driver '${there.driver}' already has volume '${volume.name}': volume name must be unique`)
      }
      return { row: there, fresh: false }
    }
    const driver = this.#driverFor(volume)
    this.#insert(volume, driver.manifest.name)
    try {
      const state = await driver.create(volume.name, volume.options)
      this.#store.run('UPDATE volumes SET state = ? WHERE name = ?', JSON.stringify(state), volume.name)
    } catch (error) {
      await this.abandon(volume.name)
      throw error
    }
    const row = this.find(volume.name)
    if (!row) throw new Error(`volume ${volume.name} vanished while it was made`)
    return { row, fresh: true }
  }

  /** The driver, once it found the options good; errors begin as Docker's do. */
  #driverFor({ name, driver, options }: NewVolume): VolumeDriver {
    try {
      const chosen = this.#drivers.get(driver || DEFAULT_VOLUME_DRIVER)
      chosen.validate(options)
      return chosen
    } catch (error) {
      const { kind, message } = toGantryError(error)
      const looking = kind === 'not-found' ? 'error looking up volume plugin: ' : ''
      throw new GantryError(kind, `create ${name}: ${looking}${message}`, { cause: error })
    }
  }

  #insert({ name, options, labels, anonymous }: NewVolume, driver: string): void {
    const shown = anonymous ? { [ANONYMOUS_LABEL]: '', ...labels } : labels
    this.#store.run(
      "REPLACE INTO volumes (name, driver, options, labels, anonymous, status, created) VALUES (?,?,?,?,?,'creating',?)",
      ...[name, driver, JSON.stringify(options), JSON.stringify(shown), anonymous ? 1 : 0, Date.now()],
    )
  }

  /** The second half of `create`, in the caller's transaction. */
  finish(row: VolumeRow): void {
    this.#store.run("UPDATE volumes SET status = 'ready' WHERE name = ?", row.name)
    this.#store.emit({ type: 'volume', action: 'create', id: row.name, attributes: { driver: row.driver } })
  }

  /** Undoes `prepare`, or finishes a removal, whichever the volume is in the middle of. */
  async abandon(name: string): Promise<void> {
    const row = this.#store.get<VolumeRow>('SELECT * FROM volumes WHERE name = ?', name)
    if (row) await this.#delete(row)
  }

  async #delete(row: VolumeRow): Promise<void> {
    await this.#drivers.get(row.driver).remove(row.name, stateOf(row))
    this.#store.transaction(() => {
      this.#store.run('DELETE FROM volumes WHERE name = ?', row.name)
      // One that never was there for its users needs no farewell.
      if (row.status === 'creating') return
      this.#store.emit({ type: 'volume', action: 'destroy', id: row.name, attributes: { driver: row.driver } })
    })
  }

  /** Removes a volume that nobody uses; `conflict` names the users. With `force` a missing one is no error. */
  remove(name: string, force: boolean): Promise<void> {
    return this.locked(name, async () => {
      if (force && !this.find(name)) return
      const row = this.get(name)
      this.#store.transaction(() => {
        if (!this.condemn(name)) throw conflict(`remove ${name}: volume is in use - [${this.users(name).join(', ')}]`)
      })
      await this.#delete(row)
    })
  }

  /** In the caller's transaction: marks a volume for removal unless somebody uses it. `purge` comes afterwards. */
  condemn(name: string): boolean {
    return (
      this.users(name).length === 0 &&
      this.#store.run("UPDATE volumes SET status = 'removing' WHERE name = ?", name).changes > 0
    )
  }

  /** Removes a volume that was condemned. */
  purge(name: string): Promise<void> {
    return this.locked(name, async () => {
      const row = this.#store.get<VolumeRow>("SELECT * FROM volumes WHERE name = ? AND status = 'removing'", name)
      if (row) await this.#delete(row)
    })
  }

  /** Docker's Volume. */
  show(row: VolumeRow): Json {
    const [labels, options] = [wordsOf(row.labels), wordsOf(row.options)]
    // A volume whose driver cannot run here any more is still to be seen.
    const driver = this.#drivers.usable().find((other) => other.manifest.name === row.driver)
    return {
      CreatedAt: new Date(row.created).toISOString().replace(/\.\d+Z$/, 'Z'),
      Driver: row.driver,
      Labels: Object.keys(labels).length === 0 ? null : labels,
      Mountpoint: driver?.path(row.name, stateOf(row)) ?? '',
      Name: row.name,
      Options: Object.keys(options).length === 0 ? null : options,
      Scope: String(driver?.manifest.capabilities['scope'] ?? 'local'),
    }
  }

  path = (row: VolumeRow): string => this.#drivers.get(row.driver).path(row.name, stateOf(row))

  /** All that are ready, by name. */
  all = (): VolumeRow[] => this.#store.all<VolumeRow>("SELECT * FROM volumes WHERE status = 'ready' ORDER BY name")

  /** Makes the volume available while `work` runs on its directory. */
  async using<T>(row: VolumeRow, user: string, work: (path: string) => Promise<T>): Promise<T> {
    const driver = this.#drivers.get(row.driver)
    const path = await driver.mount(row.name, stateOf(row), `copy-${user}`)
    try {
      return await work(path)
    } finally {
      await driver.unmount(row.name, stateOf(row), `copy-${user}`)
    }
  }

  /** Makes the volume available to a container; tells it once. */
  async mount(row: VolumeRow, container: string, mount: { target: string; readOnly: boolean }): Promise<string> {
    const path = await this.#drivers.get(row.driver).mount(row.name, stateOf(row), container)
    this.#store.transaction(() => {
      if (!this.#setMounted(row.name, container, 1)) return
      const attributes = {
        container,
        destination: mount.target,
        driver: row.driver,
        propagation: '',
        'read/write': String(!mount.readOnly),
      }
      this.#store.emit({ type: 'volume', action: 'mount', id: row.name, attributes })
    })
    return path
  }

  async unmount(row: VolumeRow, container: string): Promise<void> {
    await this.#drivers.get(row.driver).unmount(row.name, stateOf(row), container)
    this.#store.transaction(() => {
      if (!this.#setMounted(row.name, container, 0)) return
      const attributes = { container, driver: row.driver }
      this.#store.emit({ type: 'volume', action: 'unmount', id: row.name, attributes })
    })
  }

  #setMounted(name: string, container: string, mounted: 0 | 1): boolean {
    const sql = 'UPDATE volume_users SET mounted = ? WHERE volume = ? AND container = ? AND mounted <> ?'
    return this.#store.run(sql, mounted, name, container, mounted).changes > 0
  }

  /** Volumes that a container has mounted now. */
  mountedBy(container: string): VolumeRow[] {
    return this.#store.all<VolumeRow>(
      `SELECT volumes.* FROM volume_users JOIN volumes ON volumes.name = volume_users.volume
       WHERE volume_users.container = ? AND volume_users.mounted = 1`,
      container,
    )
  }
}
