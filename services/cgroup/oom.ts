import type { Bus } from '../../shared/bus/index.ts'
import type { CgroupDriver } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { Group, Groups, Untold } from './store.ts'

const RETRY_MS = 1000

/** Watches groups for the OOM killer's work, keeps the count, and tells it as a fact: recorded first, told until it is stored. */
export class OomWatch {
  readonly #groups: Groups
  readonly #bus: Bus
  readonly #log: Logger
  readonly #watched = new Map<string, { group: Group; total: number; stop: () => void }>()
  readonly #retries = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(groups: Groups, bus: Bus, log: Logger) {
    this.#groups = groups
    this.#bus = bus
    this.#log = log
  }

  /** `now`: the count in the kernel; what is more than the group's record has is told. */
  watch(group: Group, driver: CgroupDriver, now: number): void {
    this.unwatch(group.id)
    const watched = { group, total: group.oom, stop: (): void => undefined }
    this.#watched.set(group.id, watched)
    watched.stop = driver.watchOom(group.path, (total) => this.saw(group.id, total))
    this.saw(group.id, now)
  }

  /** A count read from the kernel. */
  saw(id: string, total: number): void {
    const watched = this.#watched.get(id)
    if (!watched || total <= watched.total) return
    watched.total = total
    const { path, created } = watched.group
    this.#groups.setOom(id, created, total)
    this.#log.warn({ container: id, cgroup: path, total }, 'the OOM killer struck')
    this.#tell({ id, path, created, oom: total })
  }

  /** Tells what an earlier process of the service saw, and may not have told. */
  catchUp(): void {
    for (const untold of this.#groups.untold()) this.#tell(untold)
  }

  /** The same count of the same group is the same fact, however often it is told. */
  #tell(untold: Untold): void {
    if (this.#stopped) return
    const { id, path, created, oom } = untold
    this.#bus.tellFact('cgroup.oom', { id, cgroup: path, total: oom }, `oom-${id}-${created}-${oom}`).then(
      () => {
        if (!this.#stopped) this.#groups.setTold(id, created, oom)
      },
      (error: unknown) => {
        this.#log.error({ err: error, container: id }, 'could not tell of an OOM kill; trying again')
        if (this.#stopped) return
        const retry = setTimeout(() => {
          this.#retries.delete(retry)
          this.#tell(untold)
        }, RETRY_MS)
        this.#retries.add(retry.unref())
      },
    )
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
