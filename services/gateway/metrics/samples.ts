import type { Stoppable } from '../../../shared/bus/index.ts'
import type { CgroupSample, NetworkSample, StatsSample } from '../../../shared/contracts/index.ts'

/** A sample that is not followed by another within this time is of a container that has ended, or its service is away. */
const FRESH_MS = 10_000
/** Without a scrape for this long nobody is interested. */
const IDLE_MS = 5 * 60_000

export type CgroupCounters = Omit<CgroupSample, 'source' | 'id'>
export type Interfaces = NetworkSample['networks']

interface Held<T> {
  readonly at: number
  readonly value: T
}

/** The latest samples of all containers, from the bus: heard from the first scrape on and as long as scrapes come. */
export class Samples {
  readonly #onStats: (handle: (sample: StatsSample) => void) => Stoppable
  readonly #groups = new Map<string, Held<CgroupCounters>>()
  readonly #interfaces = new Map<string, Held<Interfaces>>()
  #wantedAt = 0
  #subscription: Stoppable | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(onStats: (handle: (sample: StatsSample) => void) => Stoppable) {
    this.#onStats = onStats
  }

  /** A scrape comes. */
  want(): void {
    this.#wantedAt = Date.now()
    this.#subscription ??= this.#onStats((sample) => {
      if (sample.source === 'cgroup') this.holdGroup(sample.id, sample)
      else this.holdInterfaces(sample.id, sample.networks)
    })
    this.#timer ??= setInterval(() => this.#tidy(), FRESH_MS).unref()
  }

  holdGroup(id: string, value: CgroupCounters): void {
    this.#groups.set(id, { at: Date.now(), value })
  }

  holdInterfaces(id: string, value: Interfaces): void {
    this.#interfaces.set(id, { at: Date.now(), value })
  }

  group(id: string): CgroupCounters | undefined {
    return fresh(this.#groups.get(id))
  }

  interfaces(id: string): Interfaces | undefined {
    return fresh(this.#interfaces.get(id))
  }

  #tidy(): void {
    const idle = Date.now() - this.#wantedAt > IDLE_MS
    for (const held of [this.#groups, this.#interfaces]) {
      for (const [id, one] of held) if (idle || !isFresh(one)) held.delete(id)
    }
    if (!idle) return
    clearInterval(this.#timer)
    this.#timer = undefined
    void this.#subscription?.stop()
    this.#subscription = undefined
  }
}

const isFresh = ({ at }: Held<unknown>): boolean => Date.now() - at <= FRESH_MS
const fresh = <T>(held: Held<T> | undefined): T | undefined => (held && isFresh(held) ? held.value : undefined)
