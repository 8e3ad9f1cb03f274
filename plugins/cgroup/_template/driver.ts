import {
  capabilitiesOf,
  checkLimits,
  emptyV2,
  GroupDirs,
  groupPath,
  killListed,
  NO_SUPPORT,
  passFacts,
  PATIENCE_MS,
} from '../../../shared/cgroup/index.ts'
import type { GroupStats, Resources } from '../../../shared/contracts/index.ts'
import type {
  CgroupDriver,
  CgroupDriverContext,
  DriverManifest,
  DriverState,
  OomKills,
  ProbeResult,
} from '../../../shared/drivers/index.ts'
import { notImplemented } from '../../../shared/errors/index.ts'
import { type CgroupFs, RealCgroupFs } from '../../../shared/kernel/cgroupfs.ts'
import { manifest } from './config.ts'

/**
 * The least that a cgroup driver can be: groups without limits, in a v2 tree. Copy the folder, give it a name in config.ts, say in
 * `#support` what it can limit, and the conformance suite asks for it.
 */
export class TemplateDriver implements CgroupDriver {
  readonly #fs: CgroupFs
  readonly #root: string
  readonly #parent: string
  readonly #dirs: GroupDirs
  readonly #support = NO_SUPPORT

  constructor(context: CgroupDriverContext) {
    this.#fs = context.fs ?? new RealCgroupFs()
    this.#root = context.root
    this.#parent = context.parent
    this.#dirs = new GroupDirs(this.#fs, [context.root])
  }

  get manifest(): DriverManifest {
    return { ...manifest, capabilities: capabilitiesOf(2, this.#support) }
  }

  /** Really try, and say what is missing and how to get it. A low rank keeps it from becoming the default. */
  async probe(): Promise<ProbeResult> {
    if (!this.#fs.exists(`${this.#root}/cgroup.controllers`)) {
      return { usable: false, reason: `there is no v2 tree at ${this.#root}` }
    }
    return { usable: true, rank: 0 }
  }

  check(resources: Resources, update: boolean): readonly string[] {
    return checkLimits(resources, this.#support, { update, device: (path) => this.#fs.blockDevice(path) })
  }

  pathFor(id: string, parent: string): string {
    return groupPath(id, parent, this.#parent)
  }

  runtimePath(path: string): string {
    return path
  }

  runtimeResources(): undefined {
    return undefined
  }

  missingParents(path: string): readonly string[] {
    return this.#dirs.missingParents(path)
  }

  async removeParents(names: readonly string[]): Promise<readonly string[]> {
    return this.#dirs.removeParents(names)
  }

  async create(path: string): Promise<void> {
    this.#dirs.make(path)
  }

  /** There is nothing to change: `check` has warned of every limit. */
  async update(path: string): Promise<void> {
    this.#dirs.mustExist(path)
  }

  async save(path: string): Promise<DriverState> {
    this.#dirs.mustExist(path)
    return { version: 1 }
  }

  async restore(): Promise<void> {
    // Nothing was changed.
  }

  async remove(path: string): Promise<void> {
    await this.#dirs.remove(path, async () => {
      await this.kill(path)
      await emptyV2(this.#fs, `${this.#root}${path}`, PATIENCE_MS)
    })
  }

  async exists(path: string): Promise<boolean> {
    return this.#dirs.exists(path)
  }

  async stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>> {
    const { read } = passFacts(this.#fs)
    const there = paths.filter((path) => this.#dirs.exists(path))
    return new Map(
      there.map((path) => {
        const pids_stats = { current: this.#dirs.pids(path).length }
        return [path, { read, pids_stats, cpu_stats: {}, memory_stats: {}, blkio_stats: {}, oom_kills: 0 }]
      }),
    )
  }

  async freeze(): Promise<void> {
    throw notImplemented('freezing: the cgroup driver "template" has no freezer')
  }

  async thaw(): Promise<void> {
    throw notImplemented('thawing: the cgroup driver "template" has no freezer')
  }

  async kill(path: string): Promise<void> {
    killListed(this.#fs, () => this.#dirs.pids(path))
  }

  async pids(path: string): Promise<readonly number[]> {
    return this.#dirs.pids(path)
  }

  async oomKills(): Promise<OomKills> {
    return { total: 0, groups: new Map() }
  }

  watchOom(): () => void {
    return () => undefined
  }

  async list(): Promise<readonly string[]> {
    return this.#dirs.list(this.#parent)
  }

  async close(): Promise<void> {
    // Nothing is held.
  }
}
