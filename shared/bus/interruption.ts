import type { NatsConnection } from 'nats'

/** How long a call waits for a bus that is away; its sender may ask again. */
const AWAY_MS = 2_000

/**
 * Calls on one connection. The NATS client drops what was sent before the bus went away and is not out yet, and, with every try to connect,
 * what was sent since; whoever sent it would wait for the whole time-out (a day, for `stop`). So nothing is sent while the bus is away,
 * and what was under way fails as soon as it is back.
 */
export class Interruptions {
  readonly #awayMs: number
  readonly #underWay = new Set<(error: Error) => void>()
  /** Resolves when the bus is back; undefined while it is there. */
  #back: PromiseWithResolvers<void> | undefined

  constructor(connection: Pick<NatsConnection, 'status'>, awayMs = AWAY_MS) {
    this.#awayMs = awayMs
    void this.#watch(connection)
  }

  async #watch(connection: Pick<NatsConnection, 'status'>): Promise<void> {
    let lost: ((error: Error) => void)[] = []
    for await (const { type } of connection.status()) {
      const kind: string = type
      if (kind === 'disconnect') {
        lost = [...this.#underWay]
        this.#back ??= Promise.withResolvers()
      } else if (kind === 'reconnect') {
        this.#back?.resolve()
        this.#back = undefined
        for (const fail of lost) fail(new Error('the bus was away while the call was under way'))
        lost = []
      }
    }
  }

  /** Sends when the bus is there. The answer, or an error when the bus stays away or was interrupted before the answer came. */
  async call<T>(send: () => Promise<T>): Promise<T> {
    if (this.#back) await this.#isBack(this.#back.promise)
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject)
      send()
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(reject))
    })
  }

  async #isBack(back: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new Error('the bus is away')), this.#awayMs)
    await Promise.race([back, late.promise]).finally(() => clearTimeout(timer))
  }
}
