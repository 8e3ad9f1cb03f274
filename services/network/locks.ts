/** One ordered queue for each id: work on one is serial, in the order asked for; on different ones it is parallel. */
export class Locks {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `work` after all earlier work on `id`. Not re-entrant. */
  async run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(id)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#tails.set(id, promise)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.#tails.get(id) === promise) this.#tails.delete(id)
    }
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values())
  }
}
