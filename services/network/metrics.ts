import type { Bus } from '../../shared/bus/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { SandboxStats } from './stats.ts'

const INTERVAL_MS = 1000

/** Publishes the interface counters of every sandbox once a second; rests when none has an interface. */
export class Metrics {
  readonly #stats: Pick<SandboxStats, 'all'>
  readonly #bus: Pick<Bus, 'publishStats'>
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(stats: Pick<SandboxStats, 'all'>, bus: Pick<Bus, 'publishStats'>, log: Logger) {
    this.#stats = stats
    this.#bus = bus
    this.#log = log
  }

  /** There may be interfaces now: the next second looks. */
  wake(): void {
    if (!this.#stopped) this.#timer ??= setInterval(() => this.pass(), INTERVAL_MS).unref()
  }

  /** The same when `work`, which makes an interface, is done. */
  async after<T>(work: Promise<T>): Promise<T> {
    const result = await work
    this.wake()
    return result
  }

  /** One turn over all sandboxes. */
  pass(): void {
    try {
      const sandboxes = Object.entries(this.#stats.all())
      const read = new Date().toISOString()
      for (const [id, networks] of sandboxes) this.#bus.publishStats(id, { source: 'network', id, read, networks })
      if (sandboxes.length === 0) this.#rest()
    } catch (error) {
      this.#log.warn({ err: error }, 'counting traffic failed')
    }
  }

  stop(): void {
    this.#stopped = true
    this.#rest()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
