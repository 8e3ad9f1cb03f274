import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import cgroupfsV1 from '../../plugins/cgroup/cgroupfs-v1/index.ts'
import cgroupfsV2 from '../../plugins/cgroup/cgroupfs-v2/index.ts'
import { GroupKeeper } from '../../services/cgroup/groups.ts'
import { Metrics } from '../../services/cgroup/metrics.ts'
import { OomWatch } from '../../services/cgroup/oom.ts'
import { Groups, migrations } from '../../services/cgroup/store.ts'
import type { Bus } from '../../shared/bus/index.ts'
import type { FactName, FactOf, GroupStats } from '../../shared/contracts/index.ts'
import { type CgroupDriver, DriverSet } from '../../shared/drivers/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { Store } from '../../shared/store/index.ts'
import { type HostKind, RecordedCgroups } from './recorded-cgroups.ts'

/** What a cgroup service told, in order. */
export class FakeBus {
  readonly facts: { name: FactName; fact: FactOf<'cgroup.oom'>; id: string }[] = []
  readonly samples: { id: string; sample: GroupStats }[] = []
  /** Nothing is stored. */
  down = false
  #waiting: (() => void)[] = []

  async tellFact(name: FactName, fact: FactOf<'cgroup.oom'>, id: string): Promise<void> {
    if (this.down) throw new Error('the bus is down')
    this.facts.push({ name, fact, id })
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves with the next fact. */
  fact(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  publishStats(id: string, sample: GroupStats): void {
    this.samples.push({ id, sample })
  }
}

interface Running {
  readonly drivers: DriverSet<CgroupDriver>
  readonly oom: OomWatch
  readonly metrics: Metrics
  readonly keeper: GroupKeeper
}

/** The cgroup service's insides on a recorded host. `restart` is what a kill and a new start of the service leave. */
export class RecordedService {
  readonly tree: RecordedCgroups
  readonly dir = mkdtempSync(join(tmpdir(), 'cgroup-service-'))
  readonly store: Store
  readonly bus = new FakeBus()
  readonly groups: Groups
  readonly parent = '/engine'
  #running: Running | undefined

  constructor(kind: HostKind) {
    this.tree = new RecordedCgroups(kind)
    this.store = new Store(join(this.dir, 'db'), migrations, 'local')
    this.groups = new Groups(this.store)
  }

  get #now(): Running {
    if (!this.#running) throw new Error('start it first')
    return this.#running
  }

  get keeper(): GroupKeeper {
    return this.#now.keeper
  }

  get metrics(): Metrics {
    return this.#now.metrics
  }

  get driver(): CgroupDriver {
    return this.#now.drivers.default()
  }

  /** Stops what runs without a word to the kernel or the database, and starts again. */
  async restart(): Promise<void> {
    await this.#drop()
    const log = createLogger('test', 'silent')
    const drivers = new DriverSet<CgroupDriver>('cgroup')
    for (const module of [cgroupfsV1, cgroupfsV2]) {
      const context = { log, stateDir: this.dir, runDir: this.dir, engine: 'engine', parent: this.parent }
      await drivers.add(module.create({ ...context, root: this.tree.root, fs: this.tree }))
    }
    drivers.chooseDefault()
    const bus = this.bus as unknown as Bus
    const oom = new OomWatch(this.groups, bus, log)
    const metrics = new Metrics(drivers, bus, oom, log)
    const keeper = new GroupKeeper(this.groups, drivers, oom, metrics, log)
    this.#running = { drivers, oom, metrics, keeper }
    await keeper.recover()
  }

  async #drop(): Promise<void> {
    this.#running?.metrics.stop()
    this.#running?.oom.stop()
    await this.#running?.drivers.close()
  }

  /** Directories of groups, in all hierarchies. */
  directories(): string[] {
    const roots =
      this.tree.kind === 'v2'
        ? [this.tree.root]
        : this.tree.children(this.tree.root).map((n) => join(this.tree.root, n))
    const below = (dir: string): string[] =>
      this.tree.children(dir).flatMap((name) => [join(dir, name), ...below(join(dir, name))])
    return roots.flatMap(below)
  }

  async dispose(): Promise<void> {
    await this.#drop()
    this.store.close()
    this.tree.dispose()
    rmSync(this.dir, { recursive: true })
  }
}
