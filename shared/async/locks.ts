/**
 * One ordered queue for each key: work on one is serial, in the order in which it was asked for; work on different ones is parallel. A
 * free key counts as taken as soon as `run` was called, before the work has begun or `run` has returned.
 */
export class Locks {
  readonly #tails = new Map<string, Promise<void>>()

  /** Runs `work` after all earlier work on `key`, whatever became of that. Not re-entrant. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#tails.set(key, promise)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.#tails.get(key) === promise) this.#tails.delete(key)
    }
  }

  /** Keys that somebody works on. */
  busy(): string[] {
    return [...this.#tails.keys()]
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values())
  }
}
