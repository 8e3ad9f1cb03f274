import type { Bus } from '../../shared/bus/index.ts'
import type { CgroupDriver, OomKills } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { Group, Groups, Untold } from './store.ts'

const RETRY_MS = 1000

interface Watched {
  readonly group: Group
  readonly driver: CgroupDriver
  total: number
  /** What the kernel said last, by group. */
  groups: ReadonlyMap<string, number>
  stop: () => void
}

/** Watches groups for the OOM killer's work, keeps the count, and tells it as a fact: recorded first, told until it is stored. */
export class OomWatch {
  readonly #groups: Groups
  readonly #bus: Bus
  readonly #log: Logger
  readonly #watched = new Map<string, Watched>()
  readonly #retries = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(groups: Groups, bus: Bus, log: Logger) {
    this.#groups = groups
    this.#bus = bus
    this.#log = log
  }

  /**
   * `now`: the count in the kernel; what is more than the group's record has is told. When the kernel cannot watch it, the count
   * is still compared with every sample.
   */
  watch(group: Group, driver: CgroupDriver, now: OomKills): void {
    this.unwatch(group.id)
    // Which of the kills below were recorded is not known, but for none.
    const groups = group.oom === 0 ? new Map<string, number>() : now.groups
    const watched: Watched = { group, driver, total: group.oom, groups, stop: () => undefined }
    this.#watched.set(group.id, watched)
    this.saw(group.id, now)
    watched.stop = driver.watchOom(group.path, (kills) => this.saw(group.id, kills))
  }

  /** A count read from the kernel. Each group where it is higher than before is told of. */
  saw(id: string, kills: OomKills): void {
    const watched = this.#watched.get(id)
    if (!watched) return
    for (const [cgroup, count] of kills.groups) {
      const more = count - (watched.groups.get(cgroup) ?? 0)
      if (more > 0) this.#struck(watched, cgroup, watched.total + more)
    }
    watched.groups = kills.groups
    if (kills.total > watched.total) this.#struck(watched, watched.group.path, kills.total)
  }

  /** A sample says that there were so many kills. */
  async noticed(id: string, total: number): Promise<void> {
    const watched = this.#watched.get(id)
    if (!watched || total <= watched.total) return
    try {
      this.saw(id, await watched.driver.oomKills(watched.group.path))
    } catch (error) {
      this.#log.warn({ err: error, container: id }, 'cannot read where the OOM killer struck')
    }
  }

  #struck(watched: Watched, cgroup: string, oom: number): void {
    const { id, instance, created } = watched.group
    watched.total = oom
    const untold = { id, instance, created, oom, cgroup }
    try {
      this.#groups.setOom(untold)
    } catch (error) {
      // It is told all the same, unless the service dies before.
      this.#log.error({ err: error, container: id }, 'cannot note an OOM kill')
    }
    this.#log.warn({ container: id, cgroup, total: oom }, 'the OOM killer struck')
    this.#tell(untold)
  }

  /** Tells what an earlier process of the service saw, and may not have told. */
  catchUp(): void {
    for (const untold of this.#groups.untold()) this.#tell(untold)
  }

  /** The same count of the same group is the same fact, however often it is told. */
  #tell(untold: Untold): void {
    if (this.#stopped) return
    const { id, instance, created, oom, cgroup } = untold
    this.#bus
      .tellFact('cgroup.oom', { id, instance, cgroup, total: oom }, `oom-${id}-${created}-${oom}`)
      .then(() => {
        if (!this.#stopped) this.#groups.setTold(id, created, oom)
      })
      .catch((error: unknown) => {
        this.#log.error({ err: error, container: id }, 'could not tell of an OOM kill, or note it; trying again')
        if (this.#stopped) return
        const retry = setTimeout(() => {
          this.#retries.delete(retry)
          this.#tell(untold)
        }, RETRY_MS)
        this.#retries.add(retry.unref())
      })
  }

  total(id: string): number {
    return this.#watched.get(id)?.total ?? 0
  }

  unwatch(id: string): void {
    this.#watched.get(id)?.stop()
    this.#watched.delete(id)
  }

  stop(): void {
    this.#stopped = true
    for (const retry of this.#retries) clearTimeout(retry)
    for (const id of [...this.#watched.keys()]) this.unwatch(id)
  }
}
