import { setTimeout } from 'node:timers/promises'
import type { Bus } from '../../shared/bus/index.ts'
import type { FactName, FactOf } from '../../shared/contracts/index.ts'
import type { Logger } from '../../shared/log/index.ts'

const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5000

/** Tells facts until they are stored, however long the bus is away. */
export class FactTeller {
  readonly #bus: Pick<Bus, 'tellFact'>
  readonly #log: Logger
  readonly #stopped = new AbortController()
  readonly #pending = new Map<string, Promise<boolean>>()

  constructor(bus: Pick<Bus, 'tellFact'>, log: Logger) {
    this.#bus = bus
    this.#log = log
  }

  /** Resolves with true when the fact is stored, false when the service stopped before. */
  tell<N extends FactName>(name: N, fact: FactOf<N>, id: string): Promise<boolean> {
    const key = `${name} ${id}`
    const told = this.#pending.get(key) ?? this.#tell(name, fact, id).finally(() => this.#pending.delete(key))
    this.#pending.set(key, told)
    return told
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #tell<N extends FactName>(name: N, fact: FactOf<N>, id: string): Promise<boolean> {
    for (let wait = FIRST_RETRY_MS; !this.#stopped.signal.aborted; wait = Math.min(2 * wait, LAST_RETRY_MS)) {
      try {
        await this.#bus.tellFact(name, fact, id)
        return true
      } catch (error) {
        this.#log.warn({ err: error, fact: name, id }, 'fact could not be told, trying again')
        await setTimeout(wait, undefined, { signal: this.#stopped.signal, ref: false }).catch(() => undefined)
      }
    }
    return false
  }
}
