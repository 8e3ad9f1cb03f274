import type { GroupStats, Resources } from '../contracts/index.ts'
import type {
  CgroupDriver,
  CgroupDriverContext,
  DriverManifest,
  DriverState,
  OomKills,
  ProbeResult,
} from '../drivers/index.ts'
import { findHierarchies, type Hierarchies } from '../kernel/cgroup-hierarchies.ts'
import { type CgroupFs, RealCgroupFs } from '../kernel/cgroupfs.ts'
import { type OpenCounters, Sampler, type TakeSample } from './counters.ts'
import { GroupDirs, groupPath } from './group-dirs.ts'
import { checkLimits } from './limits.ts'
import type { Support } from './support.ts'
import { applyWrites, keepValues, type LimitWrite, restoreValues, stateOf, valuesOf } from './writes.ts'

/** What drivers that make groups by files have in common, whichever the version of cgroups. */
export abstract class FilesDriver implements CgroupDriver {
  protected readonly fs: CgroupFs
  protected readonly parent: string
  protected readonly hierarchies: Hierarchies
  protected readonly dirs: GroupDirs
  readonly #sampler: Sampler

  /** `rootsOf`: where a group has a directory; the first tells whether it exists. */
  constructor(context: CgroupDriverContext, rootsOf: (hierarchies: Hierarchies) => readonly string[]) {
    this.fs = context.fs ?? new RealCgroupFs()
    this.parent = context.parent
    this.hierarchies = findHierarchies(this.fs, context.root)
    this.dirs = new GroupDirs(this.fs, rootsOf(this.hierarchies))
    this.#sampler = new Sampler(this.fs, context.log, (counters, path) => this.openGroup(counters, path))
  }

  abstract get manifest(): DriverManifest
  /** What this kernel can limit; known after `probe`. */
  abstract get support(): Support
  abstract probe(): Promise<ProbeResult>
  abstract runtimeResources(resources: Resources): Readonly<Record<string, unknown>> | undefined
  abstract freeze(path: string): Promise<void>
  abstract thaw(path: string): Promise<void>
  abstract kill(path: string): Promise<void>
  abstract oomKills(path: string): Promise<OomKills>
  abstract watchOom(path: string, told: (kills: OomKills) => void): () => void
  /** Where the group's memory is counted. */
  abstract memoryDir(path: string): string | undefined

  /** What the groups above must have before a group gets its limits, or (`creating`) takes a process. */
  protected abstract prepare(path: string, resources: Resources, creating: boolean): void
  /** The writes that set the limits. `isNew`: nothing has been set yet. */
  protected abstract plan(path: string, resources: Resources, isNew: boolean): LimitWrite[]
  /** Kills what is in the group, and waits for its end where the kernel tells of it. */
  protected abstract empty(path: string): Promise<void>
  protected abstract openGroup(counters: OpenCounters, path: string): TakeSample

  /** `major:minor` of a block device. */
  device(path: string): string {
    return this.fs.blockDevice(path)
  }

  check(resources: Resources, update: boolean): readonly string[] {
    return checkLimits(resources, this.support, { update, device: (path) => this.device(path) })
  }

  pathFor(id: string, parent: string): string {
    return groupPath(id, parent, this.parent)
  }

  runtimePath(path: string): string {
    return path
  }

  missingParents(path: string): readonly string[] {
    return this.dirs.missingParents(path)
  }

  async removeParents(names: readonly string[]): Promise<readonly string[]> {
    return this.dirs.removeParents(names)
  }

  /** Removes the empty ones of a group's directories. */
  removeEmpty(path: string): boolean {
    return this.dirs.removeEmpty(path)
  }

  async create(path: string, resources: Resources): Promise<void> {
    this.#sampler.forget(path)
    const isNew = this.dirs.make(path)
    try {
      this.prepare(path, resources, true)
      applyWrites(this.fs, this.plan(path, resources, isNew), !isNew)
    } catch (error) {
      if (isNew) this.dirs.removeEmpty(path)
      throw error
    }
  }

  async update(path: string, resources: Resources): Promise<void> {
    this.dirs.mustExist(path)
    this.prepare(path, resources, false)
    applyWrites(this.fs, this.plan(path, resources, false), true)
  }

  async save(path: string, resources: Resources): Promise<DriverState> {
    this.dirs.mustExist(path)
    this.prepare(path, resources, false) // there may be no file to read before
    return stateOf(keepValues(this.fs, this.plan(path, resources, false)))
  }

  async restore(_path: string, saved: DriverState): Promise<void> {
    restoreValues(this.fs, valuesOf(saved))
  }

  async remove(path: string): Promise<void> {
    this.#sampler.forget(path)
    await this.dirs.remove(path, () => this.empty(path))
  }

  async exists(path: string): Promise<boolean> {
    return this.dirs.exists(path)
  }

  async stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>> {
    return this.#sampler.pass(paths)
  }

  async pids(path: string): Promise<readonly number[]> {
    return this.dirs.pids(path)
  }

  async list(): Promise<readonly string[]> {
    return this.dirs.list(this.parent)
  }

  async close(): Promise<void> {
    this.#sampler.close()
  }
}
