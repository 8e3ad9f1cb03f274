import { setImmediate } from 'node:timers/promises'
import type { Bus } from '../../shared/bus/index.ts'
import type { CgroupSample, GroupStats } from '../../shared/contracts/index.ts'
import type { CgroupDriver, DriverSet } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { OomWatch } from './oom.ts'

const INTERVAL_MS = 1000
/** Reading is synchronous: requests get their turn after so many groups. */
const SLICE = 25

interface Member {
  readonly path: string
  readonly driver: string
}

/** Samples all live groups once a second, in one pass a driver, and publishes each; idle when there are none. */
export class Metrics {
  readonly #drivers: DriverSet<CgroupDriver>
  readonly #bus: Bus
  readonly #oom: OomWatch
  readonly #log: Logger
  readonly #members = new Map<string, Member>()
  #timer: NodeJS.Timeout | undefined
  #busy = false

  constructor(drivers: DriverSet<CgroupDriver>, bus: Bus, oom: OomWatch, log: Logger) {
    this.#drivers = drivers
    this.#bus = bus
    this.#oom = oom
    this.#log = log
  }

  add(id: string, path: string, driver: string): void {
    this.#members.set(id, { path, driver })
    this.#timer ??= setInterval(() => void this.pass(), INTERVAL_MS).unref()
  }

  remove(id: string): void {
    this.#members.delete(id)
    if (this.#members.size === 0) this.#rest()
  }

  stop(): void {
    this.#members.clear()
    this.#rest()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** A sample of each of `ids` that has a group. */
  async sample(ids: Iterable<string>): Promise<Map<string, GroupStats>> {
    const byDriver = new Map<string, Map<string, string>>()
    for (const id of ids) {
      const member = this.#members.get(id)
      if (!member) continue
      const paths = byDriver.get(member.driver) ?? new Map<string, string>()
      byDriver.set(member.driver, paths.set(member.path, id))
    }
    const samples = new Map<string, GroupStats>()
    for (const [name, paths] of byDriver) {
      for (const [path, sample] of await this.#drivers.get(name).stats([...paths.keys()])) {
        samples.set(paths.get(path) ?? '', sample)
      }
    }
    return samples
  }

  /** All that is published in one turn goes to the bus in one write: nothing is awaited in between. */
  async #publish(ids: readonly string[]): Promise<void> {
    const samples = await this.sample(ids)
    for (const [id, sample] of samples) {
      this.#bus.publishStats(id, { source: 'cgroup', id, ...sample } satisfies CgroupSample)
    }
    for (const [id, sample] of samples) await this.#oom.noticed(id, sample.oom_kills)
  }

  /** One turn over all groups. Skipped while the last one is under way. */
  async pass(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      const ids = [...this.#members.keys()]
      for (let at = 0; at < ids.length; at += SLICE) {
        if (at > 0) await setImmediate()
        await this.#publish(ids.slice(at, at + SLICE))
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'sampling failed')
    } finally {
      this.#busy = false
    }
  }
}
