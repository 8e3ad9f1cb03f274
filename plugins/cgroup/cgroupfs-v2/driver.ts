import { join } from 'node:path'
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
import { isGone } from '../../../shared/kernel/cgroupfs.ts'
import { manifest } from './config.ts'
import { enableControllers } from './controllers.ts'
import { inspectFiles, type V2Files } from './files.ts'
import { planLimits } from './plan.ts'
import { openV2 } from './sample.ts'

const NEEDED = ['memory', 'cpu', 'pids'] as const

/** Groups in the v2 tree, by files. Devices are the runtime's: it attaches an eBPF program to the group. */
export class CgroupfsV2 extends FilesDriver {
  readonly #root: string
  #files: V2Files = { support: NO_SUPPORT, weight: undefined }

  constructor(context: CgroupDriverContext) {
    super(context, ({ v2 }) => [v2 ?? context.root])
    this.#root = this.hierarchies.v2 ?? context.root
  }

  override get manifest(): DriverManifest {
    return { ...manifest, capabilities: capabilitiesOf(2, this.#files.support) }
  }

  /** What this kernel can limit; known after `probe`. */
  override get support(): Support {
    return this.#files.support
  }

  /** Where the group's memory is counted. */
  override memoryDir(path: string): string {
    return this.#at(path)
  }

  /** Makes a group and looks at what it has. */
  override async probe(): Promise<ProbeResult> {
    const { v2, v2Controllers } = this.hierarchies
    if (v2 === undefined) return { usable: false, reason: `no v2 tree is mounted at or below ${this.#root}` }
    const path = `${this.parent}-probe`
    try {
      this.dirs.make(path)
      this.prepare(path, {}, true)
      this.#files = inspectFiles(this.fs, this.#root, path)
    } catch (error) {
      return { usable: false, reason: `cannot make cgroups: ${(error as Error).message}` }
    } finally {
      this.dirs.removeEmpty(path)
    }
    const missing = NEEDED.filter((c) => !v2Controllers.includes(c))
    if (missing.length > 0) {
      const bound = missing.filter((c) => this.hierarchies.v1.has(c))
      const why = bound.length > 0 ? `${bound.join(', ')} bound to v1 hierarchies` : 'this kernel has not got them'
      return { usable: false, reason: `the v2 tree at ${v2} has no controller ${missing.join(', ')} (${why})` }
    }
    return { usable: true, rank: 50 }
  }

  override runtimeResources(): undefined {
    return undefined
  }

  /** A group gets those controllers that its parents hand down, from the root on. */
  protected override prepare(path: string, _resources: Resources, creating: boolean): void {
    if (creating) enableControllers(this.fs, this.#root, parentsOf(path), this.hierarchies.v2Controllers)
  }

  protected override plan(path: string, resources: Resources, isNew: boolean): LimitWrite[] {
    const dir = this.#at(path)
    const present = (file: string): string => (isNew ? '' : this.fs.read(join(dir, file)))
    return planLimits(resources, dir, this.#files, present, (name) => this.device(name))
  }

  #at(path: string): string {
    return join(this.#root, path)
  }

  #must(path: string): string {
    this.dirs.mustExist(path)
    return this.#at(path)
  }

  override async freeze(path: string): Promise<void> {
    await freezeV2(this.fs, this.#must(path))
  }

  override async thaw(path: string): Promise<void> {
    thawV2(this.fs, this.#must(path))
  }

  protected override openGroup(counters: OpenCounters, path: string): TakeSample {
    return openV2(counters, this.#at(path))
  }

  protected override async empty(path: string): Promise<void> {
    await this.kill(path)
    await emptyV2(this.fs, this.#at(path), PATIENCE_MS)
  }

  /** The kernel kills frozen processes too. */
  override async kill(path: string): Promise<void> {
    if (!this.dirs.exists(path)) return
    if (!killV2(this.fs, this.#at(path))) killListed(this.fs, () => this.dirs.pids(path))
  }

  override async oomKills(path: string): Promise<OomKills> {
    return this.#oomKills(path)
  }

  /** memory.events counts what happens below, too; memory.events.local (Linux 5.2) does not. */
  #oomKills(path: string): OomKills {
    const groups = new Map<string, number>()
    const total = this.#oomKillsIn(join(this.#at(path), 'memory.events')) ?? 0
    for (const dir of total === 0 ? [] : this.dirs.tree(this.#at(path))) {
      const kills = this.#oomKillsIn(join(dir, 'memory.events.local'))
      if (kills !== undefined) groups.set(dir.slice(this.#root.length), kills)
    }
    return { total, groups }
  }

  #oomKillsIn(file: string): number | undefined {
    try {
      return parseKeyed(this.fs.read(file))['oom_kill'] ?? 0
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    }
  }

  override watchOom(path: string, told: (kills: OomKills) => void): () => void {
    const file = join(this.#at(path), 'memory.events')
    if (!this.fs.exists(file)) return () => undefined
    let last = this.#oomKills(path).total
    return this.fs.watch(file, () => {
      const kills = this.#oomKills(path)
      if (kills.total > last) told(kills)
      last = kills.total
    })
  }
}
