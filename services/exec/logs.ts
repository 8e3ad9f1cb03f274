import type { LogDriver, ProcessHandle } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { ExecDrivers } from './drivers.ts'
import type { ProcessRow } from './records.ts'

const MAINTAIN_EVERY_MS = 1000

interface Kept {
  readonly row: ProcessRow
  readonly handle: ProcessHandle
  readonly driver: LogDriver
  busy: Promise<void>
}

/** Keeps the logs of running containers within their bounds. */
export class LogKeeper {
  readonly #drivers: ExecDrivers
  readonly #log: Logger
  readonly #kept = new Map<string, Kept>()
  #timer: NodeJS.Timeout | undefined

  constructor(drivers: ExecDrivers, log: Logger) {
    this.#drivers = drivers
    this.#log = log
  }

  begin(row: ProcessRow, handle: ProcessHandle): void {
    const driver = this.#drivers.log(row.facts.log.driver)
    if (!driver.bounded(row.facts.log.options)) return
    this.#kept.set(row.id, { row, handle, driver, busy: Promise.resolve() })
    this.#timer ??= setInterval(() => this.#maintainAll(), MAINTAIN_EVERY_MS).unref()
  }

  /** The process has ended: a last time, without the shim. */
  async end(row: ProcessRow): Promise<void> {
    const kept = this.#kept.get(row.id)
    if (!kept) return
    this.#kept.delete(row.id)
    if (this.#kept.size === 0) this.stop()
    await this.#maintain(kept, false)
  }

  /** Brings a running container's log up to date before it is read. */
  async settle(id: string): Promise<void> {
    const kept = this.#kept.get(id)
    if (kept) await this.#maintain(kept, true)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #maintainAll(): void {
    for (const kept of this.#kept.values()) void this.#maintain(kept, true)
  }

  #maintain(kept: Kept, running: boolean): Promise<void> {
    const { row, handle, driver } = kept
    kept.busy = kept.busy
      .then(() => driver.maintain(row.id, row.facts.log.options, running ? () => handle.reopenLog() : undefined))
      .catch((error: unknown) => this.#log.warn({ err: error, container: row.id }, 'log could not be kept in bounds'))
    return kept.busy
  }
}
