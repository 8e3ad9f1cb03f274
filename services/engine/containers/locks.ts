/**
 * One ordered queue for each container: work on one container is serial, in the order in which it was asked for; work on
 * different ones is parallel.
 */
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

  /** Ids that somebody works on. */
  busy(): string[] {
    return [...this.#tails.keys()]
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values())
  }
}
