import type { NatsConnection } from 'nats'

/**
 * Calls under way on one connection. When the bus goes away and comes back, the request or the answer of a call that was sent before
 * is lost, and its sender would wait for its whole time-out (a day, for `stop`): such a call fails as soon as the bus is back.
 */
export class Interruptions {
  readonly #waiting = new Set<(error: Error) => void>()

  constructor(connection: Pick<NatsConnection, 'status'>) {
    void this.#watch(connection)
  }

  async #watch(connection: Pick<NatsConnection, 'status'>): Promise<void> {
    let lost: ((error: Error) => void)[] = []
    for await (const { type } of connection.status()) {
      const kind: string = type
      if (kind === 'disconnect') lost = [...this.#waiting]
      else if (kind === 'reconnect') {
        for (const fail of lost) fail(new Error('the bus was away while the call was under way'))
        lost = []
      }
    }
  }

  /** The answer, or an error when the bus was interrupted before it came. */
  guard<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      answer.then(resolve, reject).finally(() => this.#waiting.delete(reject))
    })
  }
}
