import { mergeResources, parentsOf } from '../../shared/cgroup/index.ts'
import type { Resources } from '../../shared/contracts/index.ts'
import type { CgroupDriver, DriverSet } from '../../shared/drivers/index.ts'
import { conflict, notFound } from '../../shared/errors/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { Metrics } from './metrics.ts'
import type { OomWatch } from './oom.ts'
import type { Group, Groups } from './store.ts'
import { Turns } from './turns.ts'

/** The life of groups: record first, then kernel. A group stays with the driver that made it. */
export class GroupKeeper {
  readonly #groups: Groups
  readonly #drivers: DriverSet<CgroupDriver>
  readonly #oom: OomWatch
  readonly #metrics: Metrics
  readonly #log: Logger
  /** Parents are made with a group and removed with the last one: never both at once. */
  readonly #parents = new Turns()

  constructor(groups: Groups, drivers: DriverSet<CgroupDriver>, oom: OomWatch, metrics: Metrics, log: Logger) {
    this.#groups = groups
    this.#drivers = drivers
    this.#oom = oom
    this.#metrics = metrics
    this.#log = log
  }

  /** The group of a container and its driver; `not-found` without. */
  find(id: string): { group: Group; driver: CgroupDriver } {
    const group = this.#groups.get(id)
    if (!group) throw notFound(`container ${id} has no cgroup`)
    return { group, driver: this.#drivers.get(group.driver) }
  }

  /** `instance`: the run that it is for. What is left of an earlier run's is removed first, with its count of OOM kills. */
  async create(
    id: string,
    parent: string,
    resources: Resources,
    instance = '',
  ): Promise<{ group: Group; driver: CgroupDriver }> {
    const known = this.#groups.get(id)
    const driver = (known && this.#driverOf(known)) ?? this.#drivers.default()
    driver.check(resources, false)
    const path = driver.pathFor(id, parent)
    if (parent !== '') this.#refuseOthers(path, parent)
    const same = known?.path === path && known.instance === instance
    if (known && !same) await this.delete(id)
    const again = same && (await driver.exists(path))
    const group: Group = {
      id,
      instance,
      path,
      driver: driver.manifest.name,
      resources,
      created: again ? known.created : Date.now(),
      oom: again ? known.oom : 0,
    }
    try {
      await this.#parents.run(async () => {
        this.#groups.intend(group, driver.missingParents(path))
        await driver.create(path, resources)
      })
    } catch (error) {
      if (!again) {
        await driver.remove(path)
        await this.#forget(group, driver, 0)
      }
      throw error
    }
    await this.#adopt(group, driver)
    return { group, driver }
  }

  /** undefined when it cannot run any more: the host was booted with other hierarchies, where the group cannot be. */
  #driverOf(group: Group): CgroupDriver | undefined {
    return this.#drivers.usable().find((d) => d.manifest.name === group.driver)
  }

  /** A group within another container's would end with that. */
  #refuseOthers(path: string, parent: string): void {
    const owner = this.#groups.ownerOf(parentsOf(path))
    if (owner !== undefined)
      throw conflict(`cgroup-parent "${parent}" is the group of container ${owner}: choose another`)
  }

  /** A group that cannot be watched (no inotify watch or file is left to have) is still sampled. */
  async #adopt(group: Group, driver: CgroupDriver): Promise<void> {
    try {
      this.#oom.watch(group, driver, await driver.oomKills(group.path))
    } catch (error) {
      this.#log.warn({ err: error, container: group.id, cgroup: group.path }, 'cannot watch a cgroup for OOM kills')
    }
    this.#metrics.add(group.id, group.path, group.driver)
  }

  /** Whether the OOM killer was at work; the same answer when asked again. */
  async delete(id: string): Promise<boolean> {
    const group = this.#groups.get(id)
    if (!group) return this.#groups.lastOom(id) > 0
    const driver = this.#driverOf(group)
    if (driver) {
      this.#oom.saw(id, await driver.oomKills(group.path))
      // First: a pass that reads a group on its way out would open its files again, for nobody to close.
      this.#metrics.remove(id)
      try {
        await driver.remove(group.path)
      } catch (error) {
        this.#metrics.add(id, group.path, group.driver)
        throw error
      }
    }
    const total = Math.max(group.oom, this.#oom.total(id))
    this.#oom.unwatch(id)
    this.#metrics.remove(id)
    await this.#forget(group, driver, total)
    return total > 0
  }

  /** The record goes last; with it those parents that were made and are empty now. */
  async #forget(group: Group, driver: CgroupDriver | undefined, oom: number): Promise<void> {
    await this.#parents.run(async () => {
      const left = driver ? await driver.removeParents(this.#groups.parents(group.driver)) : []
      this.#groups.forget(group.id, oom, group.driver, left)
    })
  }

  /** `change`: the caller's name for it. What was before is recorded first, so that it can be put back whoever ends meanwhile. */
  async update(id: string, resources: Resources, change: string): Promise<void> {
    const { group, driver } = this.find(id)
    // Asked for again, it is what was before the first time that counts.
    const known = group.change?.name === change ? group.change : undefined
    const before = known?.resources ?? group.resources
    driver.check(resources, true)
    const merged = mergeResources(before, resources)
    driver.check(merged, false)
    const saved = known?.saved ?? (await driver.save(group.path, merged))
    const record = { name: change, resources: before, saved }
    this.#groups.setResources(id, before, { ...record, done: false })
    try {
      await driver.update(group.path, merged)
    } catch (error) {
      await this.#tryRevert(id, change)
      throw error
    }
    this.#groups.setResources(id, merged, { ...record, done: true })
  }

  /** Nothing to do for a change that is not the latest: it was never begun, or has been taken back. */
  async revert(id: string, change: string): Promise<void> {
    const group = this.#groups.get(id)
    if (group?.change?.name !== change) return
    await this.#driverOf(group)?.restore(group.path, group.change.saved)
    this.#groups.setResources(id, group.change.resources)
  }

  /** What fails stays recorded as begun: the next start of the service tries it again. */
  async #tryRevert(id: string, change: string): Promise<void> {
    try {
      await this.revert(id, change)
    } catch (error) {
      this.#log.error({ err: error, container: id }, 'limits of before a failed update could not be put back')
    }
  }

  async oomKilled(id: string): Promise<boolean> {
    const group = this.#groups.get(id)
    if (!group) return this.#groups.lastOom(id) > 0
    const driver = this.#driverOf(group)
    if (driver) this.#oom.saw(id, await driver.oomKills(group.path))
    return Math.max(group.oom, this.#oom.total(id)) > 0
  }

  /** Removes the groups of containers that are not in `keep`, and what came back of those that were removed before. */
  async reconcile(keep: ReadonlySet<string>): Promise<string[]> {
    const removed: string[] = []
    for (const { id } of this.#groups.live()) {
      if (keep.has(id)) continue
      await this.#attempt(id, async () => {
        await this.delete(id)
        removed.push(id)
      })
    }
    for (const driver of this.#drivers.usable()) removed.push(...(await this.#sweep(driver)))
    return removed
  }

  /**
   * Groups under the engine's parent that were removed and are there again (a runtime that was just joining them makes them anew), and
   * parents that are not needed any more. The parent may be shared: what was never this engine's is left alone.
   */
  async #sweep(driver: CgroupDriver): Promise<string[]> {
    const removed: string[] = []
    const there = await driver.list()
    // Asked for afterwards: a group that is made meanwhile has its record before its directory.
    const gone = new Set(this.#groups.gone())
    for (const path of there) {
      if (!gone.has(path) || this.#isAbove(path)) continue
      await this.#attempt(path, async () => {
        await driver.remove(path)
        removed.push(path)
      })
    }
    const { name } = driver.manifest
    await this.#parents.run(async () => {
      this.#groups.keepParents(name, await driver.removeParents(this.#groups.parents(name)))
    })
    return removed
  }

  /** Whether a container that lives has its group in or below that one. */
  #isAbove(path: string): boolean {
    return this.#groups.live().some((g) => g.path === path || g.path.startsWith(`${path}/`))
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#log.warn({ err: error, group: what }, 'could not remove a cgroup that nobody owns')
    }
  }

  /** After a start: watches what lives, and tells of OOM kills that happened meanwhile. */
  async recover(): Promise<void> {
    this.#oom.catchUp()
    for (const group of this.#groups.live()) {
      const driver = this.#driverOf(group)
      if (driver) {
        // The service died in it: its caller has had no answer, and asks again if it likes.
        if (group.change?.done === false) await this.#tryRevert(group.id, group.change.name)
        await this.#adopt(group, driver)
      } else
        this.#log.warn({ container: group.id, driver: group.driver }, 'the driver of a cgroup cannot run here any more')
    }
  }
}
