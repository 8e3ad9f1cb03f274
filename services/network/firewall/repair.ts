/**
 * Whoever changes one thing often goes on with others: a repair waits that long. Not longer: without rules that use it the kernel may
 * track no connections, and what an established one sends meanwhile is answered with a reset.
 */
const DELAY_MS = 10
/** Not more often than this, whatever others do to the tables. */
const SPACING_MS = 500
const LONGEST_RETRY_MS = 10_000

/** Runs a repair soon after it is asked for, never too often, and again, ever less often, until it succeeds. */
export class RepairTimer {
  readonly #work: () => void
  #timer: NodeJS.Timeout | undefined
  #ran = -Infinity
  #failures = 0

  /** `work` throws when it failed. */
  constructor(work: () => void) {
    this.#work = work
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => this.#run(), this.#delay()).unref()
  }

  #delay(): number {
    if (this.#failures > 0) return Math.min(LONGEST_RETRY_MS, SPACING_MS * 2 ** (this.#failures - 1))
    return Math.max(DELAY_MS, this.#ran + SPACING_MS - performance.now())
  }

  #run(): void {
    this.#timer = undefined
    try {
      this.#work()
      this.#failures = 0
    } catch {
      this.#failures++
      this.schedule()
    }
    this.#ran = performance.now()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
