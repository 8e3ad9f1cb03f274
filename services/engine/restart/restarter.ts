import { nextDelay } from './policy.ts'

/** The waits before containers are started again by policy. */
export class Restarter {
  readonly #timers = new Map<string, NodeJS.Timeout>()
  readonly #delays = new Map<string, number>()

  /** Calls `again` after the container's next wait; `ranMs` is how long its last run was. */
  schedule(id: string, ranMs: number, again: () => void): void {
    clearTimeout(this.#timers.get(id))
    const delay = nextDelay(this.#delays.get(id), ranMs)
    this.#delays.set(id, delay)
    const timer = setTimeout(() => {
      this.#timers.delete(id)
      again()
    }, delay)
    this.#timers.set(id, timer)
  }

  /** A user took over: no start by policy, and the next wait is a short one. */
  cancel(id: string): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
    this.#delays.delete(id)
  }

  stop(): void {
    for (const id of [...this.#timers.keys()]) this.cancel(id)
  }
}
