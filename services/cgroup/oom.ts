import type { Bus } from '../../shared/bus/index.ts'
import type { CgroupDriver } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { Group, Groups } from './store.ts'

/** Watches groups for the OOM killer's work, keeps the count, and tells it as a fact. */
export class OomWatch {
  readonly #groups: Groups
  readonly #bus: Bus
  readonly #log: Logger
  readonly #watched = new Map<string, { group: Group; total: number; stop: () => void }>()

  constructor(groups: Groups, bus: Bus, log: Logger) {
    this.#groups = groups
    this.#bus = bus
    this.#log = log
  }

  /** Tells also what happened since the count that the group's record has. */
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
    // The same count of the same group is the same fact, however often it is told.
    this.#bus
      .tellFact('cgroup.oom', { id, cgroup: path, total }, `oom-${id}-${created}-${total}`)
      .catch((error: unknown) => {
        this.#log.error({ err: error, container: id }, 'could not tell of an OOM kill')
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
    for (const id of [...this.#watched.keys()]) this.unwatch(id)
  }
}
