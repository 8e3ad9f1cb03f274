import type { Mount, MountPoint } from '../../../shared/contracts/index.ts'
import { notFound } from '../../../shared/errors/index.ts'
import { mountTable } from '../../../shared/kernel/mounts.ts'
import { Locks } from '../../../shared/async/locks.ts'
import { RootfsCreation, type CreateRootfs, type RootfsParts } from './create.ts'
import { byDepth, mountPoint, ociMount, type ResolvedMount } from './mounts.ts'
import { checkPropagation } from './propagation.ts'
import { mountsOf, type RootfsRow } from './rows.ts'
import { makeSource } from './sources.ts'

export interface CreatedRootfs {
  readonly driver: string
  readonly mountPoints: MountPoint[]
  readonly data: Record<string, string>
}

/** Containers' root file systems: a writable layer on an image, and the mounts that belong to it. */
export class RootfsStore {
  readonly #parts: RootfsParts
  readonly #creation: RootfsCreation
  readonly #locks = new Locks()

  constructor(parts: RootfsParts) {
    this.#parts = parts
    this.#creation = new RootfsCreation(parts)
  }

  find(id: string): RootfsRow | undefined {
    return this.#parts.store.get<RootfsRow>('SELECT * FROM rootfs WHERE id = ?', id)
  }

  #get(id: string): RootfsRow {
    const row = this.find(id)
    if (!row) throw notFound(`container ${id} has no root file system`)
    return row
  }

  /** Makes it, or answers what is there of this id. A failure leaves nothing. */
  create(request: CreateRootfs): Promise<CreatedRootfs> {
    return this.#locks.run(request.id, async () => {
      const there = this.find(request.id)
      if (there) return this.#describe(there)
      await this.#creation.create(request)
      return this.#describe(this.#get(request.id))
    })
  }

  async #describe(row: RootfsRow): Promise<CreatedRootfs> {
    const mountPoints = mountsOf(row).map((mount) => {
      const volume = mount.volume === undefined ? undefined : this.#parts.volumes.get(mount.volume)
      return mountPoint(mount, volume ? this.#parts.volumes.path(volume) : '', volume?.driver ?? '')
    })
    const data = await this.#parts.drivers.get(row.driver).data(row.id)
    return { driver: row.driver, mountPoints, data: { ...data } }
  }

  /** Mounts the root file system and the volumes; what is mounted stays. What it mounted itself is undone when it fails. */
  mount(id: string): Promise<{ path: string; mounts: Mount[] }> {
    return this.#locks.run(id, async () => {
      const row = this.#get(id)
      const driver = this.#parts.drivers.get(row.driver)
      const wasMounted = await driver.mounted(id)
      try {
        const path = await driver.mount(id)
        const mounts: Mount[] = []
        for (const mount of mountsOf(row)) mounts.push(ociMount(mount, await this.#mountSource(id, mount)))
        return { path, mounts: byDepth(mounts) }
      } catch (error) {
        if (!wasMounted) await this.#unmount(row)
        throw error
      }
    })
  }

  async #mountSource(id: string, mount: ResolvedMount): Promise<string> {
    if (mount.volume !== undefined) {
      return this.#parts.volumes.mount(this.#parts.volumes.get(mount.volume), id, mount)
    }
    if (mount.type === 'bind') {
      makeSource(mount)
      if (mount.propagation && !mount.propagation.endsWith('private')) {
        checkPropagation(await mountTable(), mount.source, mount.propagation)
      }
    }
    return mount.source
  }

  unmount(id: string): Promise<void> {
    return this.#locks.run(id, async () => {
      const row = this.find(id)
      if (row) await this.#unmount(row)
    })
  }

  async #unmount(row: RootfsRow): Promise<void> {
    await this.#parts.drivers.get(row.driver).unmount(row.id)
    for (const volume of this.#parts.volumes.mountedBy(row.id)) await this.#parts.volumes.unmount(volume, row.id)
  }

  /** Removes it, and with `volumes` those that were made for this container and that no other uses. */
  remove(id: string, volumes: boolean): Promise<void> {
    return this.#locks.run(id, async () => {
      const row = this.find(id)
      if (!row) return
      await this.#unmount(row)
      const condemned = this.#forget(row, volumes)
      await this.#parts.drivers.get(row.driver).remove(id)
      await this.#parts.layers.sweep(row.layer)
      for (const name of condemned) await this.#parts.volumes.purge(name)
    })
  }

  /** Deletes the record; what it alone used is marked in the same transaction. A volume that another container took over stays. */
  #forget(row: RootfsRow, volumes: boolean): string[] {
    return this.#parts.store.transaction(() => {
      this.#parts.store.run('DELETE FROM rootfs WHERE id = ?', row.id)
      if (!volumes) return []
      const own = mountsOf(row).flatMap((mount) => (mount.anonymous && mount.volume ? [mount.volume] : []))
      return own.filter((name) => this.#parts.volumes.condemn(name))
    })
  }

  async size(id: string): Promise<{ rw: number; total: number }> {
    const row = this.#get(id)
    const rw = await this.#parts.drivers.get(row.driver).size(id)
    return { rw, total: rw + this.#parts.layers.stack(row.layer).reduce((sum, layer) => sum + layer.size, 0) }
  }

  mounted = async (id: string): Promise<boolean> => {
    const row = this.find(id)
    return row !== undefined && (await this.#parts.drivers.get(row.driver).mounted(id))
  }

  /** Removes what belongs to no container of `keep`. */
  async reconcile(keep: readonly string[]): Promise<string[]> {
    const kept = new Set(keep)
    const rows = this.#parts.store.all<{ id: string }>('SELECT id FROM rootfs')
    const removed = rows.map((row) => row.id).filter((id) => !kept.has(id))
    for (const id of removed) await this.remove(id, true)
    return removed
  }
}
