/** A process that lived this long is no quick failure. */
const STEADY_MS = 10_000
/** Quick failures that are answered at once. */
const FREE = 2
const FIRST_MS = 250
const MAX_MS = 10_000

/**
 * When to start a process again that ended by itself: at once as a rule (a kill must not be noticed for long), after a pause
 * that doubles up to 10 s when it keeps ending soon after its start.
 */
export class Backoff {
  #failures = 0

  /** Milliseconds to wait, given how long the process lived. */
  next(livedMs: number): number {
    this.#failures = livedMs >= STEADY_MS ? 1 : this.#failures + 1
    if (this.#failures <= FREE) return 0
    return Math.min(MAX_MS, FIRST_MS * 2 ** (this.#failures - FREE - 1))
  }
}
