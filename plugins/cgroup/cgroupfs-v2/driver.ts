import { join } from 'node:path'
import {
  applyWrites,
  capabilitiesOf,
  checkLimits,
  emptyV2,
  freezeV2,
  GroupDirs,
  groupPath,
  keepValues,
  killListed,
  killV2,
  type LimitWrite,
  NO_SUPPORT,
  parentsOf,
  parseKeyed,
  PATIENCE_MS,
  restoreValues,
  Sampler,
  stateOf,
  type Support,
  thawV2,
  valuesOf,
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
import { findHierarchies, type Hierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import { type CgroupFs, isGone, RealCgroupFs } from '../../../shared/kernel/cgroupfs.ts'
import { manifest } from './config.ts'
import { enableControllers } from './controllers.ts'
import { inspectFiles, type V2Files } from './files.ts'
import { planLimits } from './plan.ts'
import { openV2 } from './sample.ts'

const NEEDED = ['memory', 'cpu', 'pids'] as const

/** Groups in the v2 tree, by files. Devices are the runtime's: it attaches an eBPF program to the group. */
export class CgroupfsV2 implements CgroupDriver {
  readonly #fs: CgroupFs
  readonly #parent: string
  readonly #hierarchies: Hierarchies
  readonly #root: string
  readonly #dirs: GroupDirs
  readonly #sampler: Sampler
  #files: V2Files = { support: NO_SUPPORT, weight: undefined }

  constructor(context: CgroupDriverContext) {
    this.#fs = context.fs ?? new RealCgroupFs()
    this.#parent = context.parent
    this.#hierarchies = findHierarchies(this.#fs, context.root)
    this.#root = this.#hierarchies.v2 ?? context.root
    this.#dirs = new GroupDirs(this.#fs, [this.#root])
    this.#sampler = new Sampler(this.#fs, context.log, (counters, path) => openV2(counters, this.#at(path)))
  }

  get manifest(): DriverManifest {
    return { ...manifest, capabilities: capabilitiesOf(2, this.#files.support) }
  }

  /** What this kernel can limit; known after `probe`. */
  get support(): Support {
    return this.#files.support
  }

  /** `major:minor` of a block device. */
  device(path: string): string {
    return this.#fs.blockDevice(path)
  }

  /** Where the group's memory is counted. */
  memoryDir(path: string): string {
    return this.#at(path)
  }

  /** Removes the empty ones of a group's directories. */
  removeEmpty(path: string): boolean {
    return this.#dirs.removeEmpty(path)
  }

  /** Makes a group and looks at what it has. */
  async probe(): Promise<ProbeResult> {
    const { v2, v2Controllers } = this.#hierarchies
    if (v2 === undefined) return { usable: false, reason: `no v2 tree is mounted at or below ${this.#root}` }
    const path = `${this.#parent}-probe`
    try {
      this.#make(path)
      this.#files = inspectFiles(this.#fs, this.#root, path)
    } catch (error) {
      return { usable: false, reason: `cannot make cgroups: ${(error as Error).message}` }
    } finally {
      this.#dirs.removeEmpty(path)
    }
    const missing = NEEDED.filter((c) => !v2Controllers.includes(c))
    if (missing.length > 0) {
      const bound = missing.filter((c) => this.#hierarchies.v1.has(c))
      const why = bound.length > 0 ? `${bound.join(', ')} bound to v1 hierarchies` : 'this kernel has not got them'
      return { usable: false, reason: `the v2 tree at ${v2} has no controller ${missing.join(', ')} (${why})` }
    }
    return { usable: true, rank: 50 }
  }

  check(resources: Resources, update: boolean): readonly string[] {
    return checkLimits(resources, this.#files.support, { update, device: (path) => this.device(path) })
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

  async create(path: string, resources: Resources): Promise<void> {
    this.#sampler.forget(path)
    let isNew = false
    try {
      isNew = this.#make(path)
      this.#apply(path, resources, isNew)
    } catch (error) {
      if (isNew) this.#dirs.removeEmpty(path)
      throw error
    }
  }

  /** A group gets those controllers that its parents hand down, from the root on. */
  #make(path: string): boolean {
    const isNew = this.#dirs.make(path)
    enableControllers(this.#fs, this.#root, parentsOf(path), this.#hierarchies.v2Controllers)
    return isNew
  }

  #apply(path: string, resources: Resources, isNew: boolean): void {
    applyWrites(this.#fs, this.#plan(path, resources, isNew), !isNew)
  }

  #plan(path: string, resources: Resources, isNew: boolean): LimitWrite[] {
    const dir = this.#at(path)
    const present = (file: string): string => (isNew ? '' : this.#fs.read(join(dir, file)))
    return planLimits(resources, dir, this.#files, present, (name) => this.device(name))
  }

  #at(path: string): string {
    return join(this.#root, path)
  }

  #must(path: string): string {
    this.#dirs.mustExist(path)
    return this.#at(path)
  }

  async update(path: string, resources: Resources): Promise<void> {
    this.#dirs.mustExist(path)
    this.#apply(path, resources, false)
  }

  async save(path: string, resources: Resources): Promise<DriverState> {
    this.#dirs.mustExist(path)
    return stateOf(keepValues(this.#fs, this.#plan(path, resources, false)))
  }

  async restore(_path: string, saved: DriverState): Promise<void> {
    restoreValues(this.#fs, valuesOf(saved))
  }

  async remove(path: string): Promise<void> {
    this.#sampler.forget(path)
    await this.#dirs.remove(path, async () => {
      await this.kill(path)
      await emptyV2(this.#fs, this.#at(path), PATIENCE_MS)
    })
  }

  async exists(path: string): Promise<boolean> {
    return this.#dirs.exists(path)
  }

  async stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>> {
    return this.#sampler.pass(paths)
  }

  async freeze(path: string): Promise<void> {
    await freezeV2(this.#fs, this.#must(path))
  }

  async thaw(path: string): Promise<void> {
    thawV2(this.#fs, this.#must(path))
  }

  /** The kernel kills frozen processes too. */
  async kill(path: string): Promise<void> {
    if (!this.#dirs.exists(path)) return
    if (!killV2(this.#fs, this.#at(path))) killListed(this.#fs, () => this.#dirs.pids(path))
  }

  async pids(path: string): Promise<readonly number[]> {
    return this.#dirs.pids(path)
  }

  async oomKills(path: string): Promise<OomKills> {
    return this.#oomKills(path)
  }

  /** memory.events counts what happens below, too; memory.events.local (Linux 5.2) does not. */
  #oomKills(path: string): OomKills {
    const groups = new Map<string, number>()
    const total = this.#oomKillsIn(join(this.#at(path), 'memory.events')) ?? 0
    for (const dir of total === 0 ? [] : this.#dirs.tree(this.#at(path))) {
      const kills = this.#oomKillsIn(join(dir, 'memory.events.local'))
      if (kills !== undefined) groups.set(dir.slice(this.#root.length), kills)
    }
    return { total, groups }
  }

  #oomKillsIn(file: string): number | undefined {
    try {
      return parseKeyed(this.#fs.read(file))['oom_kill'] ?? 0
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    }
  }

  watchOom(path: string, told: (kills: OomKills) => void): () => void {
    const file = join(this.#at(path), 'memory.events')
    if (!this.#fs.exists(file)) return () => undefined
    let last = this.#oomKills(path).total
    return this.#fs.watch(file, () => {
      const kills = this.#oomKills(path)
      if (kills.total > last) told(kills)
      last = kills.total
    })
  }

  async list(): Promise<readonly string[]> {
    return this.#dirs.list(this.#parent)
  }

  async close(): Promise<void> {
    this.#sampler.close()
  }
}
