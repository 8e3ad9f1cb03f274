import type { FactOf, ProcessState, RunRequest } from '../../shared/contracts/index.ts'
import type { ExitStatus, ProcessHandle } from '../../shared/drivers/index.ts'
import { conflict, invalid, notFound, unavailable } from '../../shared/errors/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import { hostnameFor, type BundleBuilder } from './bundle.ts'
import type { ExecDrivers } from './drivers.ts'
import type { FactTeller } from './facts.ts'
import { Locks } from '../../shared/async/locks.ts'
import type { LogKeeper } from './logs.ts'
import type { ProcessRow, Records } from './records.ts'
import type { SharedMemory } from './shm.ts'
import type { Attachments } from './stdio/attachments.ts'

export interface ProcessDependencies {
  readonly records: Records
  readonly drivers: ExecDrivers
  readonly bundles: BundleBuilder
  readonly attachments: Attachments
  readonly logs: LogKeeper
  readonly facts: FactTeller
  readonly shm: SharedMemory
  readonly log: Logger
}

export interface RunReply {
  pid: number
  startedAt: string
  runtime: string
  logPath: string
  shmPath?: string
}

/** A container's process while it runs. */
export interface LiveContainer {
  readonly handle: ProcessHandle
  /** Aborted when it has ended. */
  readonly ended: AbortSignal
  /** Resolves when the end is recorded and told. */
  readonly recorded: Promise<void>
}

/** More than are sent while an engine is restarted. */
const REMEMBERED_SIGNALS = 1000

/** The first processes of containers: their whole life but stdio and sessions. */
export class Processes {
  readonly #d: ProcessDependencies
  readonly #lock = new Locks()
  readonly #live = new Map<string, LiveContainer>()
  /** The latest signals that have a key, oldest first. */
  readonly #signals = new Set<string>()

  constructor(dependencies: ProcessDependencies) {
    this.#d = dependencies
  }

  /** The running container; `conflict` when it does not run. */
  running(id: string): LiveContainer {
    const live = this.#live.get(id)
    if (!live || live.ended.aborted) throw conflict(`container ${id} is not running`)
    return live
  }

  find(id: string): LiveContainer | undefined {
    const live = this.#live.get(id)
    return live && !live.ended.aborted ? live : undefined
  }

  /** Whether this run of the container is under way. */
  runs(id: string, instance: string): boolean {
    return this.find(id) !== undefined && this.#d.records.processes.get(id)?.instance === instance
  }

  /** Whether a run of the container has begun, and is not yet deleted. */
  hasRun(id: string): boolean {
    const row = this.#d.records.processes.get(id)
    return row !== undefined && row.status !== 'creating'
  }

  run(request: RunRequest): Promise<RunReply> {
    return this.#lock.run(request.id, async () => {
      const known = this.#d.records.processes.get(request.id)
      if (known?.instance === request.instance && known.status !== 'creating') return reply(known)
      if (this.find(request.id)) {
        throw conflict(`container ${request.id} runs already (instance ${known?.instance ?? 'unknown'})`)
      }
      if (known) await this.#clear(known)
      return this.#start(request)
    })
  }

  async #start(request: RunRequest): Promise<RunReply> {
    const { records, drivers, bundles, attachments, logs, shm } = this.#d
    const driver = drivers.runtime(request.runtime)
    const logDriver = drivers.log(request.log.driver)
    logDriver.validate(request.log.options)
    const shmPath = request.shmShareable ? shm.pathFor(request.id) : undefined
    const config = bundles.config(shmPath === undefined ? request : { ...request, shmPath })
    const target = logDriver.open(request.id, request.log.options)
    const stdinOnce = request.stdinOnce && !request.process.tty
    const row: ProcessRow = {
      id: request.id,
      instance: request.instance,
      status: 'creating',
      runtime: driver.manifest.name,
      pid: 0,
      startedAt: new Date().toISOString(),
      told: false,
      facts: {
        rootfs: request.rootfs,
        hostname: hostnameFor(request),
        tty: request.process.tty,
        stdin: request.stdin,
        stdinOnce,
        log: { driver: logDriver.manifest.name, options: request.log.options },
        logPath: target.path,
        ...(shmPath === undefined ? {} : { shmPath }),
      },
    }
    records.putProcess(row)
    try {
      if (shmPath !== undefined) shm.create(request.id, request.shmSize)
      const handle = await driver.create({
        id: request.id,
        config,
        terminal: request.process.tty,
        stdin: request.stdin,
        stdinOnce,
        systemdCgroup: request.systemdCgroup,
        logArgs: target.shimArgs,
      })
      attachments.begin(request.id, handle, row.facts)
      await handle.start()
      const running: ProcessRow = {
        ...row,
        status: 'running',
        pid: handle.pid,
        startedAt: new Date().toISOString(),
        state: handle.state,
      }
      records.putProcess(running)
      this.#watch(running, handle)
      logs.begin(running, handle)
      return reply(running)
    } catch (error) {
      attachments.end(request.id)
      await driver.remove(request.id)
      shm.remove(request.id)
      records.deleteProcess(request.id)
      throw error
    }
  }

  /** Watches a process that runs; after a restart also one that has ended meanwhile. */
  adopt(row: ProcessRow, handle: ProcessHandle): void {
    this.#d.attachments.begin(row.id, handle, row.facts)
    this.#watch(row, handle)
    this.#d.logs.begin(row, handle)
  }

  #watch(row: ProcessRow, handle: ProcessHandle): void {
    const over = new AbortController()
    const recorded = handle.exited
      .then(async (status) => {
        over.abort()
        await this.#ended(row, status)
      })
      // It is told and in memory; after a restart of the service the exit file tells it once more.
      .catch((error: unknown) =>
        this.#d.log.error({ err: error, container: row.id }, 'end of a process could not be recorded'),
      )
    this.#live.set(row.id, { handle, ended: over.signal, recorded })
  }

  async #ended(row: ProcessRow, { exitCode, finishedAt }: ExitStatus): Promise<void> {
    if (this.#d.records.processes.get(row.id)?.instance !== row.instance) return
    await this.record({ ...row, status: 'exited', pid: 0, exitCode, finishedAt })
  }

  /** Tells that a process has ended, and notes that it is told: false when the service stops before. */
  async record(exited: ProcessRow): Promise<boolean> {
    const { records, logs, facts } = this.#d
    // In memory at once; in the database once, when it is told: until then the shim's exit file is the durable truth.
    records.processes.set(exited.id, exited)
    const fact: FactOf<'exec.process.exited'> = {
      id: exited.id,
      instance: exited.instance,
      exitCode: exited.exitCode ?? 137,
      finishedAt: exited.finishedAt ?? new Date().toISOString(),
    }
    const told = await facts.tell('exec.process.exited', fact, `${exited.id}-${exited.instance}`)
    await logs.end(exited)
    // It may have been deleted meanwhile.
    if (records.processes.get(exited.id) === exited) records.putProcess({ ...exited, told })
    return told
  }

  /** Sends a signal; one of the same key that was sent already is not sent again. */
  signal(id: string, signal: number, key?: string): void {
    const sent = key === undefined ? undefined : `${id} ${signal} ${key}`
    if (sent !== undefined && this.#signals.has(sent)) return
    if (!this.running(id).handle.signal(signal)) throw conflict(`container ${id} is not running`)
    if (sent === undefined) return
    this.#signals.add(sent)
    const [oldest = ''] = this.#signals
    if (this.#signals.size > REMEMBERED_SIGNALS) this.#signals.delete(oldest)
  }

  resize(id: string, rows: number, columns: number): void {
    const { handle } = this.running(id)
    if (!this.#d.records.processes.get(id)?.facts.tty) throw invalid(`container ${id} has no terminal`)
    handle.resize(rows, columns)
  }

  /** Ends what still runs and removes everything but the log. */
  delete(id: string): Promise<void> {
    return this.#lock.run(id, async () => {
      const row = this.#d.records.processes.get(id)
      if (row) await this.#clear(row)
    })
  }

  async #clear(row: ProcessRow): Promise<void> {
    const { records, drivers, shm } = this.#d
    const live = this.#live.get(row.id)
    await drivers.runtime(row.runtime).remove(row.id)
    for (const session of records.sessionsOf(row.id)) {
      await drivers.runtime(session.runtime).removeSession(session.id)
    }
    await live?.recorded
    // The end is told before the row that remembers it goes, also one that an earlier process of this service could not tell.
    const now = records.processes.get(row.id)
    if (now?.status === 'exited' && !now.told && !(await this.record(now))) {
      throw unavailable(`the end of container ${row.id} is not told yet, and the service is stopping; ask again`, {
        details: { draining: true },
      })
    }
    this.#live.delete(row.id)
    if (row.facts.shmPath !== undefined) shm.remove(row.id)
    records.deleteProcess(row.id)
  }

  state(id: string): ProcessState {
    const row = this.#d.records.processes.get(id)
    if (!row) throw notFound(`container ${id} has no process`)
    return toState(row)
  }

  list(): ProcessState[] {
    return [...this.#d.records.processes.values()].map(toState)
  }
}

const reply = (row: ProcessRow): RunReply => ({
  pid: row.pid,
  startedAt: row.startedAt,
  runtime: row.runtime,
  logPath: row.facts.logPath,
  ...(row.facts.shmPath === undefined ? {} : { shmPath: row.facts.shmPath }),
})

const toState = (row: ProcessRow): ProcessState => ({
  id: row.id,
  instance: row.instance,
  status: row.status,
  pid: row.pid,
  runtime: row.runtime,
  startedAt: row.startedAt,
  ...(row.exitCode === undefined ? {} : { exitCode: row.exitCode }),
  ...(row.finishedAt === undefined ? {} : { finishedAt: row.finishedAt }),
  ...(row.facts.shmPath === undefined ? {} : { shmPath: row.facts.shmPath }),
})
