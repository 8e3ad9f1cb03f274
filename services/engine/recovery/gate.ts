/**
 * Keeps new work from being begun while a lower service is told which containers to keep: what is begun afterwards would
 * be on no list, and its fresh parts would be taken for leftovers.
 */
export class Gate {
  #closed = 0
  #waiting: (() => void)[] = []

  /** Resolves when nothing is being told. */
  async passed(): Promise<void> {
    while (this.#closed > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Holds new work back while `work` runs. */
  async while<T>(work: () => Promise<T>): Promise<T> {
    this.#closed++
    try {
      return await work()
    } finally {
      if (--this.#closed === 0) for (const resolve of this.#waiting.splice(0)) resolve()
    }
  }
}
