/** A process that lived this long is no quick failure. */
const STEADY_MS = 10_000
/** Quick failures that are answered at once. */
const FREE = 2
const FIRST_MS = 250
/** For a process that cannot even begin its work. */
const MAX_MS = 10_000
/** For one that did its work until it ended: its clients wait for it. */
const MAX_AFTER_WORK_MS = 1_000

/**
 * When to start a process again that ended by itself: at once as a rule (a kill must not be noticed for long), after a pause that
 * doubles when it keeps ending soon after its start.
 */
export class Backoff {
  #failures = 0

  /** Milliseconds to wait, given how long the process lived and whether it had become ready. */
  next(livedMs: number, wasReady: boolean): number {
    this.#failures = livedMs >= STEADY_MS ? 1 : this.#failures + 1
    if (this.#failures <= FREE) return 0
    return Math.min(wasReady ? MAX_AFTER_WORK_MS : MAX_MS, FIRST_MS * 2 ** (this.#failures - FREE - 1))
  }
}
