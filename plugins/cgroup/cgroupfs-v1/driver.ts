import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  capabilitiesOf,
  emptyV2,
  FilesDriver,
  freezeV2,
  killListed,
  killV2,
  type LimitWrite,
  NO_SUPPORT,
  type OpenCounters,
  parentsOf,
  parseKeyed,
  PATIENCE_MS,
  type Support,
  type TakeSample,
  thawV2,
} from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import type { CgroupDriverContext, DriverManifest, OomKills, ProbeResult } from '../../../shared/drivers/index.ts'
import { conflict, notImplemented } from '../../../shared/errors/index.ts'
import { isGone } from '../../../shared/kernel/cgroupfs.ts'
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
export class CgroupfsV1 extends FilesDriver {
  #files: V1Files = MISSING

  constructor(context: CgroupDriverContext) {
    super(context, groupRoots)
  }

  override get manifest(): DriverManifest {
    return { ...manifest, capabilities: capabilitiesOf(1, this.#files.support) }
  }

  /** What this kernel can limit; known after `probe`. */
  override get support(): Support {
    return this.#files.support
  }

  /** Where the group's memory is counted. */
  override memoryDir(path: string): string | undefined {
    return this.#at(path)('memory')
  }

  /** Makes a group and looks at what it has. */
  override async probe(): Promise<ProbeResult> {
    const missing = NEEDED.filter((c) => !this.hierarchies.v1.has(c))
    if (missing.length > 0) {
      const where = this.hierarchies.v2 === undefined ? '' : ` (there is a v2 tree at ${this.hierarchies.v2})`
      return { usable: false, reason: `no v1 hierarchy with ${missing.join(', ')} is mounted${where}` }
    }
    const path = `${this.parent}-probe`
    try {
      this.dirs.make(path)
      this.#files = inspectFiles(this.fs, this.hierarchies, path)
    } catch (error) {
      return { usable: false, reason: `cannot make cgroups: ${(error as Error).message}` }
    } finally {
      this.dirs.removeEmpty(path)
    }
    return { usable: true, rank: 50 }
  }

  override runtimeResources(resources: Resources): Readonly<Record<string, unknown>> | undefined {
    return runtimeMemory(resources, this.#files.support)
  }

  protected override prepare(path: string, resources: Resources, creating: boolean): void {
    const parents = parentsOf(path)
    const { v1 } = this.hierarchies
    if (creating) prepareCpuset(this.fs, v1.get('cpuset'), [...parents, path])
    prepareRealtime(this.fs, v1.get('cpu'), path, resources)
    prepareHugetlb(this.fs, this.hierarchies, parents, resources)
  }

  protected override plan(path: string, resources: Resources, isNew: boolean): LimitWrite[] {
    const present = isNew ? FRESH : this.#present(path)
    return planLimits(resources, this.#at(path), this.#files, present, (name) => this.device(name))
  }

  #present(path: string): Present {
    const read = (controller: string, name: string): string => {
      const dir = this.#at(path)(controller)
      try {
        return dir === undefined ? '' : this.fs.read(join(dir, name))
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
    return dirOf(this.hierarchies, path)
  }

  /** The kernel sends a group no event for what happens below it: its count is looked at in every pass. */
  protected override openGroup(counters: OpenCounters, path: string): TakeSample {
    const memory = this.#at(path)('memory')
    return openV1(counters, this.#at(path), () =>
      memory === undefined || this.fs.children(memory).length === 0 ? undefined : this.#oomKills(path).total,
    )
  }

  /** While tasks fork, the freezer may need to be told again (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). */
  override async freeze(path: string): Promise<void> {
    this.dirs.mustExist(path)
    const dir = this.#at(path)('freezer')
    if (dir === undefined) return freezeV2(this.fs, this.#freezable(path))
    const state = join(dir, 'freezer.state')
    const deadline = Date.now() + PATIENCE_MS
    for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
      this.fs.write(state, 'FROZEN')
      if (this.fs.read(state).trim() === 'FROZEN') return
      if (Date.now() > deadline) break
      await delay(pause)
    }
    this.fs.write(state, 'THAWED')
    throw conflict(`cgroup ${path} does not freeze: a process in it is in uninterruptible sleep`)
  }

  override async thaw(path: string): Promise<void> {
    this.dirs.mustExist(path)
    this.#thaw(path)
  }

  #thaw(path: string): void {
    const dir = this.#at(path)('freezer')
    if (dir !== undefined) this.fs.write(join(dir, 'freezer.state'), 'THAWED')
    else thawV2(this.fs, this.#freezable(path))
  }

  /** The group in the v2 tree of a hybrid host without v1's freezer. */
  #freezable(path: string): string {
    const dir = this.#at(path)('unified')
    if (dir !== undefined && this.#files.support.freezer) return dir
    throw notImplemented(
      'pausing needs a freezer: this host has neither a v1 freezer hierarchy nor a v2 tree with cgroup.freeze',
    )
  }

  protected override async empty(path: string): Promise<void> {
    await this.kill(path)
    const unified = this.#at(path)('unified')
    if (unified !== undefined && this.fs.exists(unified)) await emptyV2(this.fs, unified, PATIENCE_MS)
  }

  override async kill(path: string): Promise<void> {
    if (!this.dirs.exists(path)) return
    const unified = this.#at(path)('unified')
    if (unified !== undefined) killV2(this.fs, unified)
    killListed(this.fs, () => this.dirs.pids(path))
    if (!this.#files.support.freezer) return
    try {
      this.#thaw(path) // a process in v1's freezer dies when it is let go
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  override async oomKills(path: string): Promise<OomKills> {
    return this.#oomKills(path)
  }

  /** v1 counts in the group where the victim was: those below are added. */
  #oomKills(path: string): OomKills {
    const groups = new Map<string, number>()
    const root = this.hierarchies.v1.get('memory')
    if (root === undefined) return { total: 0, groups }
    let total = 0
    for (const dir of this.dirs.tree(join(root, path))) {
      try {
        const kills = parseKeyed(this.fs.read(join(dir, 'memory.oom_control')))['oom_kill'] ?? 0
        groups.set(dir.slice(root.length), kills)
        total += kills
      } catch (error) {
        if (!isGone(error)) throw error
      }
    }
    return { total, groups }
  }

  override watchOom(path: string, told: (kills: OomKills) => void): () => void {
    const dir = this.#at(path)('memory')
    if (dir === undefined || !this.#files.support.oomEvents) return () => undefined
    return watchOomV1(this.fs, dir, () => this.#oomKills(path), told)
  }
}
