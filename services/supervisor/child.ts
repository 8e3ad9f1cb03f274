import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from './backoff.ts'
import { endProcesses, identify, type ProcessIdentity } from './identity.ts'
import type { ChildRecord, ChildState } from './record.ts'

/** What a service tells its supervisor over Node's IPC channel. */
export type ChildMessage = { readonly type: 'ready' } | { readonly type: 'failed'; readonly reason: string }

const READY_RETRY_MS = 1_000

export interface ChildSpec {
  readonly name: string
  spawn(): ChildProcess
  /** Resolves when a process that sends no messages (nats-server) is ready. Without it the `ready` message counts. */
  untilReady?(pid: number): Promise<void>
  /** After every change of the record. */
  onChange(): void
  log(message: string, fields?: Record<string, unknown>): void
}

/** One supervised process: started, started again when it ends by itself, ended when told. */
export class Child {
  readonly #spec: ChildSpec
  readonly #backoff = new Backoff()
  #state: ChildState = 'stopped'
  #process: ProcessIdentity | undefined
  #restarts = 0
  #reason: string | undefined
  #stopping = false
  #timer: NodeJS.Timeout | undefined

  constructor(spec: ChildSpec) {
    this.#spec = spec
  }

  record(): ChildRecord {
    return {
      name: this.#spec.name,
      state: this.#state,
      restarts: this.#restarts,
      ...(this.#process === undefined ? {} : { process: this.#process }),
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
    }
  }

  start(): void {
    if (this.#stopping) return
    const started = Date.now()
    let child: ChildProcess
    try {
      child = this.#spec.spawn()
    } catch (error) {
      // Some failures (ENOMEM, EAGAIN) are thrown, others come as an event.
      this.#ended(String(error), 0)
      return
    }
    this.#process = child.pid === undefined ? undefined : identify(child.pid)
    this.#state = 'starting'
    let reason: string | undefined
    child.on('message', (message) => {
      const told = message as ChildMessage
      if (told.type === 'ready') this.#becomeReady(child)
      else reason = told.reason
    })
    // Either a failed spawn ('error', for example a missing program) or an end ('exit') comes, never both first.
    let over = false
    const end = (why: string): void => {
      if (over) return
      over = true
      this.#ended(why, Date.now() - started)
    }
    child.once('error', (error) => end(error.message))
    child.once('exit', (code, signal) => end(reason ?? (signal === null ? `exit code ${code}` : `killed by ${signal}`)))
    this.#spec.onChange()
    void this.#awaitReadiness(child)
  }

  /** However long it takes: only the process's end ends the waiting. */
  async #awaitReadiness(child: ChildProcess): Promise<void> {
    const spec = this.#spec
    if (child.pid === undefined || spec.untilReady === undefined) return
    while (this.#isStarting(child)) {
      try {
        await spec.untilReady(child.pid)
        this.#becomeReady(child)
      } catch (error) {
        spec.log(`${spec.name} is not ready yet`, { error: String(error) })
        await sleep(READY_RETRY_MS, undefined, { ref: false })
      }
    }
  }

  #isStarting(child: ChildProcess): boolean {
    return child.pid === this.#process?.pid && this.#state === 'starting'
  }

  #becomeReady(child: ChildProcess): void {
    if (!this.#isStarting(child)) return
    this.#state = 'ready'
    this.#spec.onChange()
  }

  #ended(reason: string, livedMs: number): void {
    const { name } = this.#spec
    this.#process = undefined
    if (this.#stopping) {
      this.#state = 'stopped'
      this.#spec.onChange()
      return
    }
    const pause = this.#backoff.next(livedMs, this.#state === 'ready')
    this.#state = 'failed'
    this.#reason = reason
    this.#spec.log(`${name} ended: ${reason}; starting it again in ${pause} ms`)
    this.#restarts++
    if (pause === 0) {
      this.start()
      return
    }
    this.#spec.onChange()
    this.#timer = setTimeout(() => this.start(), pause)
  }

  /** SIGTERM, then SIGKILL after `graceMs`; resolves when it is gone. It is not started again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    if (this.#process === undefined) {
      this.#state = 'stopped'
      return
    }
    await endProcesses([this.#process], graceMs)
  }
}
