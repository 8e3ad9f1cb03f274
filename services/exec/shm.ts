import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MS, mount, unmount } from '../../shared/kernel/mounts.ts'
import { DEFAULT_SHM_SIZE } from './oci/defaults.ts'

/** The /dev/shm of containers whose IPC is shareable: a tmpfs on the host that several containers can bind. */
export class SharedMemory {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  pathFor(id: string): string {
    return join(this.#dir, id)
  }

  create(id: string, size: number): void {
    const path = this.pathFor(id)
    this.remove(id)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const bytes = size > 0 ? size : DEFAULT_SHM_SIZE
    mount('shm', path, 'tmpfs', MS.nosuid | MS.noexec | MS.nodev, `mode=1777,size=${bytes}`)
  }

  remove(id: string): void {
    const path = this.pathFor(id)
    while (unmount(path));
    rmSync(path, { recursive: true, force: true })
  }

  /** Removes those of containers that are not known. */
  recover(known: (id: string) => boolean): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    for (const id of readdirSync(this.#dir)) if (!known(id)) this.remove(id)
  }
}
