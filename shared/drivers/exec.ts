import type { Driver, DriverContext, DriverModule, DriverState } from './driver.ts'

/**
 * An exec driver runs a container's processes through an OCI runtime under a shim that outlives the service.
 *
 * Lifecycle: `create` (the process waits, the shim holds its stdio) -> `connect` whoever is attached -> `start` -> `exited` -> `remove`. `exec`
 * runs more processes in a running container. The service stores `state` and, after a restart, gets a handle from `recover` on
 * what lives or has ended meanwhile. Ids are chosen by the caller. `remove` and `removeSession` work by id alone, so that what a
 * crash left between `create` and the storing of its state can be removed too; what is missing is no error.
 *
 * Example: `const p = await driver.create(spec); const io = p.connect(); await p.start(); for await (const chunk of io.output) ...;
 * const { exitCode } = await p.exited; await driver.remove(p.id)`.
 *
 * Capabilities: `tty`, `exec`, `checkpoint`, `rootless` (booleans), `oci` (string, version of the runtime specification).
 */
export interface ExecDriver extends Driver {
  /** Where the runtime is and what it calls its version; known after `probe`. */
  readonly runtime: { readonly path: string; readonly version: string }
  /**
   * Creates a container whose process waits for `start`. On failure nothing is left, and the error carries the runtime's own
   * message; details.exitCode is 127 (no such command) or 126 (not executable) where that is the reason.
   */
  create(spec: CreateSpec): Promise<ProcessHandle>
  /** A handle from the state of an earlier process of the service; undefined when nothing of it is left. */
  recover(id: string, state: DriverState): ProcessHandle | undefined
  /** Runs one more process in a running container. Errors as `create`. */
  exec(spec: ExecSpec): Promise<SessionHandle>
  recoverSession(id: string, state: DriverState): SessionHandle | undefined
  /**
   * Reads the output of a session that was started with `attach`, from its beginning, also when it has ended and after a restart of the
   * service, until `removeSession`. Undefined when that is not kept: a driver may keep no more than 8 MB of a session.
   */
  sessionOutput(id: string): OutputReader | undefined
  /** Ends a container that runs, and removes the runtime's state, the shim and the bundle. */
  remove(id: string): Promise<void>
  /** Ends a session that runs, and removes what there is of it. */
  removeSession(id: string): Promise<void>
  /** What there is, whole or half made. */
  list(): Promise<{ containers: readonly string[]; sessions: readonly string[] }>
}

export interface CreateSpec {
  readonly id: string
  /** The complete OCI config.json, as text. */
  readonly config: string
  readonly terminal: boolean
  /** The process gets a stdin that clients can write to. */
  readonly stdin: boolean
  /** It is closed when a connection closes it; otherwise it stays open for the next one. */
  readonly stdinOnce: boolean
  readonly systemdCgroup: boolean
  /** The shim's arguments for the log, from the log driver. */
  readonly logArgs: readonly string[]
}

export interface ExecSpec {
  readonly id: string
  readonly container: ProcessHandle
  /** The OCI process object. */
  readonly process: Readonly<Record<string, unknown>>
  readonly terminal: boolean
  readonly stdin: boolean
  /** Whether somebody will read the output; if so `stdio` is connected before the first byte of it. */
  readonly attach: boolean
}

export interface OutputChunk {
  /** 1 stdout, 2 stderr; a terminal has stdout only. */
  readonly channel: 1 | 2
  readonly data: Uint8Array
}

/** Reads until `ended` is aborted and all that was written before has been read, or `cancelled` is. */
export type OutputReader = (ended: AbortSignal, cancelled: AbortSignal) => AsyncIterable<OutputChunk>

/** stdio of a process. */
export interface StdioConnection {
  /** Ends when the process has ended and all of its output was read. A slow reader slows the process. Read it once. */
  readonly output: AsyncIterable<OutputChunk>
  /** Resolves when there is room for more; false when the process takes no input any more. */
  write(data: Uint8Array): Promise<boolean>
  /** No more input comes from here. */
  closeStdin(): void
  close(): void
}

export interface ExitStatus {
  /** 128 + signal number for a process that a signal ended. */
  readonly exitCode: number
  /** RFC 3339 */
  readonly finishedAt: string
}

/** What containers and sessions have in common. */
export interface LiveProcess {
  readonly id: string
  readonly state: DriverState
  readonly pid: number
  /** Resolves once, when the process has ended (also if that was before this handle was made). */
  readonly exited: Promise<ExitStatus>
  /** Never reaches a later process with the same pid. False when it has ended. */
  signal(signal: number): boolean
  /** `conflict` when it has ended. */
  resize(rows: number, columns: number): void
}

export interface ProcessHandle extends LiveProcess {
  /** Only what is written after the connection is seen. `conflict` when the process has ended. */
  connect(): StdioConnection
  start(): Promise<void>
  /** Makes the shim write its log to a new file at the same path. */
  reopenLog(): void
}

export interface SessionHandle extends LiveProcess {
  /** Present when it was started with `attach`, in this process. */
  readonly stdio?: StdioConnection
  /** Another connection, which sees what is written from now on; undefined when the session has ended. */
  connect(): StdioConnection | undefined
}

export type ExecDriverModule = DriverModule<ExecDriver, DriverContext>
