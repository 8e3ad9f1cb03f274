import { watch } from 'node:fs'
import { join } from 'node:path'
import { reopenLog, resizeTerminal } from '../conmon/control.ts'
import { readExitFile } from '../conmon/exits.ts'
import { connectStdio } from '../conmon/stdio.ts'
import type { DriverState, ExitStatus, ProcessHandle, SessionHandle, StdioConnection } from '../drivers/index.ts'
import { conflict } from '../errors/index.ts'
import { isCode } from '../kernel/libc.ts'
import { identify, isAlive, parentOf, signalProcess, type ProcessIdentity } from '../kernel/pidfd.ts'
import type { OciPaths } from './paths.ts'

/** The driver's state of a container or session. */
export interface ProcessRecord extends DriverState {
  readonly version: 1
  readonly process: ProcessIdentity
  readonly shim: ProcessIdentity
  /** Of a session. */
  readonly container?: string
}

const GONE: ProcessIdentity = { pid: 0, started: 0 }

/** The record of a process whose parent is its shim (which is where the runtime, as it ended, left it). */
export function readProcessRecord(pid: number): ProcessRecord {
  const parent = parentOf(pid)
  return {
    version: 1,
    // A quick session may have ended already; start time 0 matches no process.
    process: identify(pid) ?? { pid, started: 0 },
    shim: (parent === undefined ? undefined : identify(parent)) ?? GONE,
  }
}

export class OciContainer implements ProcessHandle {
  readonly id: string
  readonly state: ProcessRecord
  readonly exited: Promise<ExitStatus>
  readonly #paths: OciPaths
  readonly #release: () => Promise<void>

  constructor(
    id: string,
    state: ProcessRecord,
    paths: OciPaths,
    exited: Promise<ExitStatus>,
    release: () => Promise<void>,
  ) {
    this.id = id
    this.state = state
    this.exited = exited
    this.#paths = paths
    this.#release = release
  }

  get pid(): number {
    return this.state.process.pid
  }

  get alive(): boolean {
    return isAlive(this.state.process)
  }

  get shimAlive(): boolean {
    return isAlive(this.state.shim)
  }

  connect(): StdioConnection {
    try {
      return connectStdio(this.#paths.attach(this.#paths.bundle(this.id)))
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ECONNREFUSED')) throw conflict(`the process of ${this.id} has ended`)
      throw error
    }
  }

  start(): Promise<void> {
    return this.#release()
  }

  signal(signal: number): boolean {
    return signalProcess(this.state.process, signal)
  }

  resize(rows: number, columns: number): void {
    resizeTerminal(this.#paths.control(this.#paths.bundle(this.id)), rows, columns)
  }

  reopenLog(): void {
    reopenLog(this.#paths.control(this.#paths.bundle(this.id)))
  }
}

export class OciSession implements SessionHandle {
  readonly id: string
  readonly state: ProcessRecord
  readonly exited: Promise<ExitStatus>
  readonly stdio?: StdioConnection
  readonly #paths: OciPaths

  /** `ended` is what the shim says on its pipe; absent after a restart, when its exit file is awaited. */
  constructor(
    id: string,
    state: ProcessRecord,
    paths: OciPaths,
    live?: { ended: Promise<number | undefined>; stdio?: StdioConnection },
  ) {
    this.id = id
    this.state = state
    this.#paths = paths
    if (live?.stdio) this.stdio = live.stdio
    const exitFile = join(paths.session(id), state.container ?? '')
    this.exited = live ? fromPipe(live.ended, exitFile) : awaitExitFile(paths.session(id), exitFile, state.shim)
  }

  get pid(): number {
    return this.state.process.pid
  }

  signal(signal: number): boolean {
    return signalProcess(this.state.process, signal)
  }

  connect(): StdioConnection | undefined {
    try {
      return connectStdio(this.#paths.attach(this.#paths.session(this.id)))
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ECONNREFUSED')) return undefined
      throw error
    }
  }

  resize(rows: number, columns: number): void {
    resizeTerminal(this.#paths.control(this.#paths.session(this.id)), rows, columns)
  }
}

/** What is known of a process whose shim was killed. */
export const lostStatus = (): ExitStatus => ({ exitCode: 137, finishedAt: new Date().toISOString() })

async function fromPipe(ended: Promise<number | undefined>, exitFile: string): Promise<ExitStatus> {
  const code = await ended
  if (code !== undefined && code >= 0) return { exitCode: code, finishedAt: new Date().toISOString() }
  return readExitFile(exitFile) ?? lostStatus()
}

async function awaitExitFile(dir: string, exitFile: string, shim: ProcessIdentity): Promise<ExitStatus> {
  const there = readExitFile(exitFile)
  if (there) return there
  const SHIM_CHECK_MS = 2000
  return new Promise((resolve) => {
    const look = (): void => {
      const status = readExitFile(exitFile) ?? (isAlive(shim) ? undefined : (readExitFile(exitFile) ?? lostStatus()))
      if (!status) return
      watcher.close()
      clearInterval(timer)
      resolve(status)
    }
    const watcher = watch(dir, { persistent: false }, look)
    watcher.on('error', look)
    // A shim that was killed writes nothing.
    const timer = setInterval(look, SHIM_CHECK_MS).unref()
    look()
  })
}
