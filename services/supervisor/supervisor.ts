import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, copyFileSync, fstatSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { Child } from './child.ts'
import type { ProcessIdentity } from './identity.ts'
import { identify } from './identity.ts'
import type { EnginePaths, ServiceName } from './paths.ts'
import { untilPortsFile } from './ports-file.ts'
import { removeRecord, writeRecord, type ChildRecord, type SupervisorRecord } from './record.ts'

/**
 * What the supervisor runs; made by `gantry up`, which has read the configuration and written nats-server's files. The
 * supervisor itself imports nothing but Node, to stay small.
 */
export interface SupervisorPlan {
  readonly mode: SupervisorRecord['mode']
  readonly natsUrl: string
  readonly paths: EnginePaths
  readonly services: readonly ServiceName[]
  /** The command that runs services: `[program, ...arguments]`, to which the names of services are added. */
  readonly command: readonly string[]
  readonly cwd: string
}

/** How long a service may take to finish what is under way when it is told to end. */
const GRACE_MS = 10_000
const NATS_READY_MS = 20_000
const LOG_LIMIT = 32 * 1024 * 1024
const LOG_CHECK_MS = 600_000
/** When a record that could not be written (the disk is full) is tried again. */
const RECORD_RETRY_MS = 1_000

/** Keeps nats-server and the services running until `stop`. */
export class Supervisor {
  readonly #plan: SupervisorPlan
  readonly #identity: ProcessIdentity
  readonly #log: number
  readonly #nats: Child
  /** One for each service, or one for all in single-process mode. */
  readonly #children: ReadonlyMap<readonly ServiceName[], Child>
  readonly #rotation: NodeJS.Timeout
  /** By which services know whether all was started, or they alone once more. */
  readonly #start = randomUUID()
  #natsStarted = false
  #retry: NodeJS.Timeout | undefined
  #stop: Promise<void> | undefined

  constructor(plan: SupervisorPlan) {
    this.#plan = plan
    const identity = identify(process.pid)
    if (identity === undefined) throw new Error('/proc is not mounted')
    this.#identity = identity
    this.#log = openSync(plan.paths.log, 'a', 0o600)
    this.#nats = new Child({
      name: 'nats-server',
      spawn: () =>
        spawn('nats-server', ['-c', plan.paths.natsConfig], {
          cwd: '/',
          detached: true,
          stdio: ['ignore', this.#log, this.#log],
        }),
      untilReady: (pid) => untilPortsFile(plan.paths.natsDir, pid, NATS_READY_MS),
      onChange: () => this.#changed(),
      log: this.log,
    })
    const groups = plan.mode === 'single-process' ? [plan.services] : plan.services.map((name) => [name])
    this.#children = new Map(groups.map((group) => [group, this.#serviceChild(group)]))
    this.#rotation = setInterval(() => this.#rotateLog(), LOG_CHECK_MS)
  }

  #serviceChild(group: readonly ServiceName[]): Child {
    const [program = process.execPath, ...args] = this.#plan.command
    return new Child({
      name: group.join('+'),
      spawn: () =>
        spawn(program, [...args, ...group], {
          cwd: this.#plan.cwd,
          // A session of its own: Ctrl-C on `up --foreground` reaches the supervisor alone, which then ends things in order.
          detached: true,
          stdio: ['ignore', this.#log, this.#log, 'ipc'],
          env: {
            ...process.env,
            // One heap for all threads: malloc's heap for each thread keeps what it once needed.
            MALLOC_ARENA_MAX: '1',
            GANTRY_NATS_URL: this.#plan.natsUrl,
            GANTRY_NATS_CREDS: this.#plan.paths.natsDir,
            GANTRY_START: this.#start,
          },
        }),
      onChange: () => this.#changed(),
      log: this.log,
    })
  }

  /** Starts nats-server and, as soon as that listens, the services, all at once. */
  start(): void {
    this.#nats.start()
  }

  #changed(): void {
    const nats = this.#nats.record()
    this.#writeRecord(nats)
    if (nats.state === 'ready' && !this.#natsStarted) {
      this.#natsStarted = true
      for (const child of this.#children.values()) child.start()
    }
  }

  /** A full disk must not end what runs: then the record is late. */
  #writeRecord(nats: ChildRecord): void {
    clearTimeout(this.#retry)
    try {
      writeRecord(this.#plan.paths.record, {
        supervisor: this.#identity,
        mode: this.#plan.mode,
        nats,
        services: this.#serviceRecords(),
      })
    } catch (error) {
      this.log('the record of what runs could not be written', { error: String(error) })
      this.#retry = setTimeout(() => this.#changed(), RECORD_RETRY_MS)
    }
  }

  #serviceRecords(): Record<ServiceName, ChildRecord> {
    const entries = [...this.#children].flatMap(([group, child]) =>
      group.map((name) => [name, { ...child.record(), name }] as const),
    )
    return Object.fromEntries(entries) as Record<ServiceName, ChildRecord>
  }

  /** Ends the services, which finish what is under way, and then nats-server. Containers keep running. */
  stop(): Promise<void> {
    this.#stop ??= this.#end()
    return this.#stop
  }

  async #end(): Promise<void> {
    this.log('stopping')
    clearInterval(this.#rotation)
    this.#natsStarted = true
    await Promise.all([...this.#children.values()].map((child) => child.stop(GRACE_MS)))
    await this.#nats.stop(GRACE_MS)
    clearTimeout(this.#retry)
    this.log('stopped')
    closeSync(this.#log)
    removeRecord(this.#plan.paths.record)
  }

  /** A line in the services' own form (pino's), written without pino. */
  readonly log = (msg: string, fields: Record<string, unknown> = {}): void => {
    const line = { level: 30, time: new Date().toISOString(), service: 'supervisor', pid: process.pid, ...fields, msg }
    try {
      writeSync(this.#log, JSON.stringify(line) + '\n')
    } catch {
      // The disk is full: there is nobody to tell.
    }
  }

  /** All writers append, so that the file can be cut under them; one old piece is kept. */
  #rotateLog(): void {
    if (fstatSync(this.#log).size < LOG_LIMIT) return
    const { log } = this.#plan.paths
    rmSync(`${log}.1`, { force: true })
    try {
      copyFileSync(log, `${log}.1`)
    } catch {
      // No room for the old piece: all the more reason to cut.
      rmSync(`${log}.1`, { force: true })
    }
    truncateSync(log)
  }
}
