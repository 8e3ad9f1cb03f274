import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { checkLimits, type Support } from '../../../shared/cgroup/index.ts'
import type { GroupStats, Resources } from '../../../shared/contracts/index.ts'
import type {
  CgroupDriver,
  CgroupDriverContext,
  DriverManifest,
  DriverState,
  OomKills,
  ProbeResult,
} from '../../../shared/drivers/index.ts'
import { notFound } from '../../../shared/errors/index.ts'
import { findHierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import { type CgroupFs, RealCgroupFs } from '../../../shared/kernel/cgroupfs.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { CgroupfsV1 } from '../cgroupfs-v1/driver.ts'
import { CgroupfsV2 } from '../cgroupfs-v2/driver.ts'
import { type SystemdBus, SystemdDBus } from './bus.ts'
import { manifest } from './config.ts'
import { checkSlice, ownSlice, runtimeName, scopePath, slicePath, slicesTo, unitsOf } from './names.ts'
import { ociResources } from './oci.ts'
import { readProperty, unitProperties, writeProperty, type WrittenProperty } from './properties.ts'
import { removeSlice, writeSlice } from './slices.ts'

/** What stands for systemd in tests. */
export interface SystemdHost {
  readonly bus: SystemdBus
  /** Name of pid 1. */
  init(): string
  /** systemd's own directory; there when it runs (sd_booted(3)). */
  readonly runDir: string
}

class RealSystemd implements SystemdHost {
  readonly bus = new SystemdDBus()
  readonly runDir = '/run/systemd'

  init(): string {
    return readFileSync('/proc/1/comm', 'utf8').trim()
  }
}

/**
 * One scope a container, in a slice of the engine's. The OCI runtime makes the scope, with the limits, when it has a process for
 * it: systemd has no scopes without. Everything but the limits that systemd knows is done by the cgroupfs driver of this
 * host's version, in the scope's group.
 */
export class SystemdDriver implements CgroupDriver {
  readonly #fs: CgroupFs
  readonly #files: CgroupfsV1 | CgroupfsV2
  readonly #version: 1 | 2
  /** The hierarchy in which systemd keeps track of its units. */
  readonly #tracked: string
  readonly #prefix: string
  readonly #slice: string
  readonly #host: SystemdHost

  constructor(context: CgroupDriverContext, host: SystemdHost = new RealSystemd()) {
    this.#fs = context.fs ?? new RealCgroupFs()
    const hierarchies = findHierarchies(this.#fs, context.root)
    this.#version = hierarchies.v1.has('memory') ? 1 : 2
    this.#tracked = hierarchies.v2 ?? hierarchies.v1.get('name=systemd') ?? context.root
    this.#prefix = context.engine
    this.#slice = ownSlice(context.parent)
    this.#host = host
    const own = { ...context, parent: slicePath(this.#slice) }
    this.#files = this.#version === 1 ? new CgroupfsV1(own) : new CgroupfsV2(own)
  }

  get manifest(): DriverManifest {
    const { capabilities } = this.#files.manifest
    return { ...manifest, capabilities: { ...capabilities, kernelMemoryTcp: false, systemd: true, premade: false } }
  }

  async probe(): Promise<ProbeResult> {
    const init = this.#host.init()
    if (init !== 'systemd' || !existsSync(join(this.#host.runDir, 'system'))) {
      return { usable: false, reason: `systemd is not this machine's init (pid 1 is ${init}); use cgroupfs` }
    }
    const files = await this.#files.probe()
    if (!files.usable) return files
    try {
      await this.#host.bus.version()
    } catch (error) {
      return {
        usable: false,
        reason: `cannot speak to systemd over D-Bus: ${(error as Error).message}`,
      }
    }
    // The runtime has to speak to systemd for every container: slower than files.
    return { usable: true, rank: 40 }
  }

  check(resources: Resources, update: boolean): readonly string[] {
    return checkLimits(resources, this.#support, { update, device: (path) => this.#files.device(path) })
  }

  pathFor(id: string, parent: string): string {
    const slice = parent === '' ? this.#slice : checkSlice(parent)
    return scopePath(slice, this.#prefix, id)
  }

  runtimePath(path: string): string {
    return runtimeName(path, this.#prefix)
  }

  runtimeResources(resources: Resources): Readonly<Record<string, unknown>> {
    return ociResources(resources, this.#support, (path) => this.#files.device(path))
  }

  missingParents(path: string): readonly string[] {
    return slicesTo(unitsOf(path).slice).filter(
      (slice) => this.#files.missingParents(`${slicePath(slice)}/x`).length > 0,
    )
  }

  /**
   * Slices end by themselves, a moment after their last scope; their unit files go after them, and in v1 the directories that the
   * runtime made where systemd makes none.
   */
  async removeParents(names: readonly string[]): Promise<readonly string[]> {
    const left: string[] = []
    for (const slice of [...names].reverse()) {
      if (await this.#ends(slice)) {
        if (this.#version === 1) this.#files.removeEmpty(slicePath(slice))
        removeSlice(this.#units, slice)
      } else left.unshift(slice)
    }
    return left
  }

  async #ends(slice: string): Promise<boolean> {
    const dir = join(this.#tracked, slicePath(slice))
    for (let pause = 1; this.#fs.exists(dir); pause *= 2) {
      if (pause > 256 || this.#fs.children(dir).length > 0) return false
      await delay(pause)
    }
    return true
  }

  /** The runtime makes the scope with its limits, and runc knows no KernelMemoryTCP. */
  get #support(): Support {
    return { ...this.#files.support, kernelMemoryTcp: false }
  }

  get #units(): string {
    return join(this.#host.runDir, 'system')
  }

  async create(path: string, resources: Resources): Promise<void> {
    if (await this.exists(path)) return this.update(path, resources)
    for (const slice of this.missingParents(path)) {
      try {
        writeSlice(this.#units, slice)
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error
      }
    }
  }

  /** systemd checks all properties before it sets one; when the files then fail, its own are put back. */
  async update(path: string, resources: Resources): Promise<void> {
    if (!(await this.exists(path))) throw notFound(`there is no cgroup ${path}`)
    const { scope } = unitsOf(path)
    const properties = unitProperties(resources, this.#version, this.#support)
    const before = await this.#host.bus.getProperties(scope, properties)
    await this.#host.bus.setProperties(scope, properties)
    try {
      await this.#files.update(path, resources)
    } catch (error) {
      await this.#host.bus.setProperties(scope, before)
      throw error
    }
  }

  async save(path: string, resources: Resources): Promise<DriverState> {
    const files = await this.#files.save(path, resources)
    const wanted = unitProperties(resources, this.#version, this.#support)
    const properties = await this.#host.bus.getProperties(unitsOf(path).scope, wanted)
    return { ...files, properties: properties.map(writeProperty) }
  }

  async restore(path: string, saved: DriverState): Promise<void> {
    if (!(await this.exists(path))) return
    const properties = (saved['properties'] as readonly WrittenProperty[]).map(readProperty)
    await this.#host.bus.setProperties(unitsOf(path).scope, properties)
    await this.#files.restore(path, saved)
  }

  async remove(path: string): Promise<void> {
    await this.#files.kill(path)
    await this.#host.bus.stop(unitsOf(path).scope)
    await this.#files.remove(path)
  }

  async exists(path: string): Promise<boolean> {
    return this.#files.exists(path)
  }

  async stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>> {
    return this.#files.stats(paths)
  }

  async freeze(path: string): Promise<void> {
    await this.#files.freeze(path)
  }

  async thaw(path: string): Promise<void> {
    await this.#files.thaw(path)
  }

  async kill(path: string): Promise<void> {
    await this.#files.kill(path)
  }

  async pids(path: string): Promise<readonly number[]> {
    return this.#files.pids(path)
  }

  async oomKills(path: string): Promise<OomKills> {
    return this.#files.oomKills(path)
  }

  /** The scope comes with its process: until then the nearest directory above is watched for it. */
  watchOom(path: string, told: (kills: OomKills) => void): () => void {
    const dir = this.#files.memoryDir(path)
    if (dir === undefined) return () => undefined
    let stop = (): void => undefined
    let stopped = false
    const arm = (): void => {
      stop()
      if (stopped) return
      const nearest = nearestDir(this.#fs, dir)
      if (nearest === dir) {
        stop = this.#files.watchOom(path, told)
        return
      }
      stop = this.#fs.watch(nearest, arm)
      if (nearestDir(this.#fs, dir) !== nearest) arm() // it came between the look and the watch
    }
    arm()
    return () => {
      stopped = true
      stop()
    }
  }

  /** Scopes of this engine in its slice. */
  async list(): Promise<readonly string[]> {
    const paths = await this.#files.list()
    return paths.filter((path) => path.endsWith('.scope') && unitsOf(path).scope.startsWith(`${this.#prefix}-`))
  }

  async close(): Promise<void> {
    this.#host.bus.close()
    await this.#files.close()
  }
}

const nearestDir = (fs: CgroupFs, dir: string): string => (fs.exists(dir) ? dir : nearestDir(fs, dirname(dir)))
