import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
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
  type OpenCounters,
  parentsOf,
  parseKeyed,
  PATIENCE_MS,
  restoreValues,
  Sampler,
  stateOf,
  type Support,
  type TakeSample,
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
import { conflict, notImplemented } from '../../../shared/errors/index.ts'
import { findHierarchies, type Hierarchies } from '../../../shared/kernel/cgroup-hierarchies.ts'
import { type CgroupFs, isGone, RealCgroupFs } from '../../../shared/kernel/cgroupfs.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { manifest } from './config.ts'
import { dirOf, groupRoots, inspectFiles, type V1Files } from './files.ts'
import { prepareCpuset, prepareHugetlb, prepareRealtime } from './parents.ts'
import { FRESH, planLimits, type Present, runtimeMemory } from './plan.ts'
import { openV1 } from './sample.ts'
import { watchOomV1 } from './oom.ts'

const MISSING: V1Files = { support: NO_SUPPORT, weights: { weight: undefined, weightDevice: undefined } }
/** Without these no runtime starts a container, or its limits mean little. */
const NEEDED = ['memory', 'cpu', 'pids', 'devices'] as const

/** Groups in the v1 hierarchies (and the v2 tree of a hybrid host), by files. */
export class CgroupfsV1 implements CgroupDriver {
  readonly #fs: CgroupFs
  readonly #parent: string
  readonly #hierarchies: Hierarchies
  readonly #dirs: GroupDirs
  readonly #sampler: Sampler
  #files: V1Files = MISSING

  constructor(context: CgroupDriverContext) {
    this.#fs = context.fs ?? new RealCgroupFs()
    this.#parent = context.parent
    this.#hierarchies = findHierarchies(this.#fs, context.root)
    this.#dirs = new GroupDirs(this.#fs, groupRoots(this.#hierarchies))
    this.#sampler = new Sampler(this.#fs, context.log, (counters, path) => this.#openGroup(counters, path))
  }

  get manifest(): DriverManifest {
    return { ...manifest, capabilities: capabilitiesOf(1, this.#files.support) }
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
  memoryDir(path: string): string | undefined {
    return this.#at(path)('memory')
  }

  /** Removes the empty ones of a group's directories. */
  removeEmpty(path: string): boolean {
    return this.#dirs.removeEmpty(path)
  }

  /** Makes a group and looks at what it has. */
  async probe(): Promise<ProbeResult> {
    const missing = NEEDED.filter((c) => !this.#hierarchies.v1.has(c))
    if (missing.length > 0) {
      const where = this.#hierarchies.v2 === undefined ? '' : ` (there is a v2 tree at ${this.#hierarchies.v2})`
      return { usable: false, reason: `no v1 hierarchy with ${missing.join(', ')} is mounted${where}` }
    }
    const path = `${this.#parent}-probe`
    try {
      this.#dirs.make(path)
      this.#files = inspectFiles(this.#fs, this.#hierarchies, path)
    } catch (error) {
      return { usable: false, reason: `cannot make cgroups: ${(error as Error).message}` }
    } finally {
      this.#dirs.removeEmpty(path)
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

  runtimeResources(resources: Resources): Readonly<Record<string, unknown>> | undefined {
    return runtimeMemory(resources, this.#files.support)
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
      isNew = this.#dirs.make(path)
      prepareCpuset(this.#fs, this.#hierarchies.v1.get('cpuset'), [...parentsOf(path), path])
      this.#apply(path, resources, isNew)
    } catch (error) {
      if (isNew) this.#dirs.removeEmpty(path)
      throw error
    }
  }

  #apply(path: string, resources: Resources, isNew: boolean): void {
    prepareRealtime(this.#fs, this.#hierarchies.v1.get('cpu'), path, resources)
    prepareHugetlb(this.#fs, this.#hierarchies, parentsOf(path), resources)
    applyWrites(this.#fs, this.#plan(path, resources, isNew), !isNew)
  }

  #plan(path: string, resources: Resources, isNew: boolean): LimitWrite[] {
    const present = isNew ? FRESH : this.#present(path)
    return planLimits(resources, this.#at(path), this.#files, present, (name) => this.device(name))
  }

  #present(path: string): Present {
    const read = (controller: string, name: string): string => {
      const dir = this.#at(path)(controller)
      try {
        return dir === undefined ? '' : this.#fs.read(join(dir, name))
      } catch (error) {
        if (isCode(error, 'ENOENT')) return ''
        throw error
      }
    }
    const { memory, cpuCfs, cpuRealtime } = this.#files.support
    return {
      memoryLimit: memory ? Number(read('memory', 'memory.limit_in_bytes')) : Infinity,
      cfsPeriod: cpuCfs ? Number(read('cpu', 'cpu.cfs_period_us')) : FRESH.cfsPeriod,
      rtPeriod: cpuRealtime ? Number(read('cpu', 'cpu.rt_period_us')) : FRESH.rtPeriod,
      blkio: (name) => read('blkio', name),
    }
  }

  #at(path: string): (controller: string) => string | undefined {
    return dirOf(this.#hierarchies, path)
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
      const unified = this.#at(path)('unified')
      if (unified !== undefined && this.#fs.exists(unified)) await emptyV2(this.#fs, unified, PATIENCE_MS)
    })
  }

  async exists(path: string): Promise<boolean> {
    return this.#dirs.exists(path)
  }

  /** The kernel sends a group no event for what happens below it: its count is looked at in every pass. */
  #openGroup(counters: OpenCounters, path: string): TakeSample {
    const memory = this.#at(path)('memory')
    return openV1(counters, this.#at(path), () =>
      memory === undefined || this.#fs.children(memory).length === 0 ? undefined : this.#oomKills(path).total,
    )
  }

  async stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>> {
    return this.#sampler.pass(paths)
  }

  /** While tasks fork, the freezer may need to be told again (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). */
  async freeze(path: string): Promise<void> {
    this.#dirs.mustExist(path)
    const dir = this.#at(path)('freezer')
    if (dir === undefined) return freezeV2(this.#fs, this.#freezable(path))
    const state = join(dir, 'freezer.state')
    const deadline = Date.now() + PATIENCE_MS
    for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
      this.#fs.write(state, 'FROZEN')
      if (this.#fs.read(state).trim() === 'FROZEN') return
      if (Date.now() > deadline) break
      await delay(pause)
    }
    this.#fs.write(state, 'THAWED')
    throw conflict(`cgroup ${path} does not freeze: a process in it is in uninterruptible sleep`)
  }

  async thaw(path: string): Promise<void> {
    this.#dirs.mustExist(path)
    this.#thaw(path)
  }

  #thaw(path: string): void {
    const dir = this.#at(path)('freezer')
    if (dir !== undefined) this.#fs.write(join(dir, 'freezer.state'), 'THAWED')
    else thawV2(this.#fs, this.#freezable(path))
  }

  /** The group in the v2 tree of a hybrid host without v1's freezer. */
  #freezable(path: string): string {
    const dir = this.#at(path)('unified')
    if (dir !== undefined && this.#files.support.freezer) return dir
    throw notImplemented(
      'pausing needs a freezer: this host has neither a v1 freezer hierarchy nor a v2 tree with cgroup.freeze',
    )
  }

  async kill(path: string): Promise<void> {
    if (!this.#dirs.exists(path)) return
    const unified = this.#at(path)('unified')
    if (unified !== undefined) killV2(this.#fs, unified)
    killListed(this.#fs, () => this.#dirs.pids(path))
    if (!this.#files.support.freezer) return
    try {
      this.#thaw(path) // a process in v1's freezer dies when it is let go
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  async pids(path: string): Promise<readonly number[]> {
    return this.#dirs.pids(path)
  }

  async oomKills(path: string): Promise<OomKills> {
    return this.#oomKills(path)
  }

  /** v1 counts in the group where the victim was: those below are added. */
  #oomKills(path: string): OomKills {
    const groups = new Map<string, number>()
    const root = this.#hierarchies.v1.get('memory')
    if (root === undefined) return { total: 0, groups }
    let total = 0
    for (const dir of this.#dirs.tree(join(root, path))) {
      try {
        const kills = parseKeyed(this.#fs.read(join(dir, 'memory.oom_control')))['oom_kill'] ?? 0
        groups.set(dir.slice(root.length), kills)
        total += kills
      } catch (error) {
        if (!isGone(error)) throw error
      }
    }
    return { total, groups }
  }

  watchOom(path: string, told: (kills: OomKills) => void): () => void {
    const dir = this.#at(path)('memory')
    if (dir === undefined || !this.#files.support.oomEvents) return () => undefined
    return watchOomV1(this.#fs, dir, () => this.#oomKills(path), told)
  }

  async list(): Promise<readonly string[]> {
    return this.#dirs.list(this.#parent)
  }

  async close(): Promise<void> {
    this.#sampler.close()
  }
}
