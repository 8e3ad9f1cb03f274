import type { MountRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import type { ImageRow, ImageStore } from '../images/store.ts'
import type { LayerStore } from '../layers/store.ts'
import { anonymousName } from '../volumes/names.ts'
import type { VolumeRow } from '../volumes/rows.ts'
import type { VolumeStore } from '../volumes/store.ts'
import { copyUp } from './copy-up.ts'
import { checkMounts, type ResolvedMount } from './mounts.ts'
import { checkSource } from './sources.ts'

export interface CreateRootfs {
  readonly id: string
  readonly image: string
  readonly driver?: string
  readonly storageOptions?: Readonly<Record<string, string>>
  readonly mounts: readonly MountRequest[]
}

export interface RootfsParts {
  readonly store: Store
  readonly drivers: DriverSet<StorageDriver>
  readonly images: ImageStore
  readonly layers: LayerStore
  readonly volumes: VolumeStore
}

/** A volume of the new container's, and whether it was made for it. */
interface UsedVolume {
  readonly row: VolumeRow
  readonly fresh: boolean
}

/** The steps that make a container's root file system. */
export class RootfsCreation {
  readonly #parts: RootfsParts

  constructor(parts: RootfsParts) {
    this.#parts = parts
  }

  /** Makes layer, volumes and record; a failure leaves none of them. The caller serialises by id. */
  async create(request: CreateRootfs): Promise<void> {
    const requests = checkMounts(request.mounts)
    requests.forEach(checkSource)
    const image = this.#parts.images.resolve(request.image)
    const mounts = requests.map(resolveMount)
    const release = image.layer === null ? undefined : this.#parts.layers.hold(image.layer)
    try {
      await this.#make(request, image, mounts)
    } finally {
      await release?.()
    }
  }

  async #make(request: CreateRootfs, image: ImageRow, mounts: readonly ResolvedMount[]): Promise<void> {
    const driver = this.#driverFor(image, request.driver)
    const { id } = request
    const parent = image.layer === null ? null : await this.#parts.layers.initLayer(image.layer)
    try {
      await driver.createWritable(id, parent, request.storageOptions ?? {})
      const names = [...new Set(mounts.flatMap((mount) => mount.volume ?? []))].sort()
      await this.#withVolumes(names, async () => {
        const volumes = await this.#makeVolumes(driver, id, mounts)
        this.#record(id, image, driver.manifest.name, mounts, volumes)
      })
    } catch (error) {
      await driver.remove(id)
      throw error
    }
  }

  #driverFor(image: ImageRow, wanted: string | undefined): StorageDriver {
    if (wanted !== undefined && wanted !== '' && wanted !== image.driver) {
      this.#parts.drivers.get(wanted)
      throw invalid(`image ${image.id} is stored with driver ${image.driver}: a container from it cannot use ${wanted}`)
    }
    return this.#parts.drivers.get(image.driver)
  }

  /** Runs `work` while the volumes' locks are held; always taken in the order of their names. */
  #withVolumes<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    const [first, ...rest] = names
    return first === undefined ? work() : this.#parts.volumes.locked(first, () => this.#withVolumes(rest, work))
  }

  /** Makes the volumes that are missing and fills empty ones; those that it made are gone again when it fails. */
  async #makeVolumes(driver: StorageDriver, id: string, mounts: readonly ResolvedMount[]): Promise<UsedVolume[]> {
    const { volumes } = this.#parts
    const made: UsedVolume[] = []
    try {
      for (const mount of mounts) {
        if (mount.volume === undefined) continue
        const { volumeDriver = '', volumeOptions = {}, volumeLabels = {}, anonymous = false } = mount
        made.push(
          await volumes.prepare({
            ...{ name: mount.volume, driver: volumeDriver, options: volumeOptions },
            ...{ labels: volumeLabels, anonymous },
          }),
        )
      }
      await this.#fillVolumes(
        driver,
        id,
        mounts,
        made.map(({ row }) => row),
      )
      return made
    } catch (error) {
      for (const { row, fresh } of made) if (fresh) await volumes.abandon(row.name)
      throw error
    }
  }

  async #fillVolumes(
    driver: StorageDriver,
    id: string,
    mounts: readonly ResolvedMount[],
    rows: readonly VolumeRow[],
  ): Promise<void> {
    const wanted = mounts.filter((mount) => mount.volume !== undefined && !mount.noCopy)
    if (wanted.length === 0) return
    const rootfs = await driver.mount(id)
    try {
      for (const mount of wanted) {
        const row = rows.find((other) => other.name === mount.volume)
        if (row) await this.#parts.volumes.using(row, id, (path) => copyUp(rootfs, mount.target, path))
      }
    } finally {
      await driver.unmount(id)
    }
  }

  #record(
    id: string,
    image: ImageRow,
    driver: string,
    mounts: readonly ResolvedMount[],
    volumes: readonly UsedVolume[],
  ): void {
    const { store } = this.#parts
    store.transaction(() => {
      store.run(
        'INSERT INTO rootfs (id, image, driver, layer, mounts, created) VALUES (?,?,?,?,?,?)',
        ...[id, image.id, driver, image.layer, JSON.stringify(mounts), Date.now()],
      )
      for (const { row, fresh } of volumes) {
        if (fresh && this.#parts.volumes.find(row.name)?.status === 'creating') this.#parts.volumes.finish(row)
        store.run('INSERT OR IGNORE INTO volume_users (volume, container) VALUES (?,?)', row.name, id)
      }
    })
  }
}

const resolveMount = (request: MountRequest): ResolvedMount =>
  request.type !== 'volume'
    ? request
    : { ...request, volume: request.source || anonymousName(), anonymous: request.source === '' }
