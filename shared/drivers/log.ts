import type { OutputChunk } from './exec.ts'
import type { Driver, DriverContext, DriverModule } from './driver.ts'

/**
 * A log driver says where the shim writes a container's output, and reads it again. The shim writes, not the driver: nothing is lost
 * while no service runs.
 *
 * Lifecycle: `validate(options)` at check time -> `open` before each run (a restarted container goes on in the same log) -> `maintain` now
 * and then while it runs and once after it has ended -> `read` at any time -> `remove`. What is missing is no error.
 *
 * Capabilities: `read` (boolean: `read` works), `rotate` (boolean: `maintain` has something to do).
 */
export interface LogDriver extends Driver {
  /** Refuses options that it does not honour (`invalid`, names the option and the valid form). Pure. */
  validate(options: LogOptions): void
  /** Whether these options set bounds that `maintain` must keep. */
  bounded(options: LogOptions): boolean
  open(id: string, options: LogOptions): LogTarget
  /** `not-implemented` when the capability is missing. */
  read(id: string, query: LogQuery): AsyncIterable<OutputChunk>
  /**
   * Keeps the log within the bounds that its options set. `reopen` makes the shim go on in a new file at the same path; undefined when
   * the process has ended.
   */
  maintain(id: string, options: LogOptions, reopen: (() => void) | undefined): Promise<void>
  remove(id: string): Promise<void>
  /** Containers that have a log. */
  list(): Promise<readonly string[]>
}

export type LogOptions = Readonly<Record<string, string>>

export interface LogTarget {
  /** What `docker inspect` shows as LogPath; empty when there is no file. */
  readonly path: string
  /** For conmon(8), for example `['-l', 'k8s-file:/path']`. */
  readonly shimArgs: readonly string[]
}

export interface LogQuery {
  readonly stdout: boolean
  readonly stderr: boolean
  /** Seconds since the epoch, with fraction; 0: no bound. */
  readonly since: number
  readonly until: number
  /** Lines from the end; -1: all. */
  readonly tail: number
  readonly timestamps: boolean
  /** Put before each line, after the time stamp. */
  readonly details: string
  /** Aborted when there will be no more output; absent: only what there is now. */
  readonly follow?: AbortSignal
  /** Aborted when nobody reads any more. */
  readonly cancelled: AbortSignal
}

export type LogDriverModule = DriverModule<LogDriver, DriverContext>
