import { randomBytes } from 'node:crypto'
import type { Job } from '../../../shared/contracts/index.ts'
import { GantryError, isKind, toGantryError } from '../../../shared/errors/index.ts'
import { currentTrace, withTrace, type Logger } from '../../../shared/log/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import type { Requests } from '../requests.ts'

/** How many finished jobs are kept. */
const HISTORY = 1000

export type JobName =
  | 'create'
  | 'start'
  | 'stop'
  | 'kill'
  | 'restart'
  | 'remove'
  | 'exit'
  | 'pause'
  | 'unpause'
  | 'rename'
  | 'update'
  | 'connect'
  | 'disconnect'
  | 'unlink'
  | 'prune'
  | 'exec'

export interface JobRecord extends Job {
  readonly name: JobName
  /** The container that it is about. */
  readonly container: string
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Step = JobRecord['steps'][number]
type Undo = () => Promise<unknown>

export interface JobSpec {
  readonly name: JobName
  readonly container: string
  readonly arguments?: Record<string, unknown>
  /**
   * Written before the first step, so that a crash finds it: `true`, or what to write in the same transaction. A job without
   * is written when it ends (or when it saves itself before): for operations that leave nothing behind.
   */
  readonly intent?: true | (() => void)
  /** An interrupted job that goes on, with its id and with what it had saved. */
  readonly resume?: JobRecord | undefined
}

/** The engine stops while a job waits for something that takes long: the next engine goes on with it. */
export class LeftToSuccessor extends GantryError {
  constructor() {
    super('unavailable', 'the engine is being restarted; ask again', { details: { draining: true } })
  }
}

interface Bookkeeping {
  /** Ends the job as done, in one transaction with `write`. */
  readonly done: (write: () => void, reply: unknown) => void
  /** Writes it as it is. */
  readonly save: () => void
}

/** A job while it runs. */
export class RunningJob {
  readonly record: Mutable<JobRecord>
  /** Whether an earlier engine began it. */
  readonly resumed: boolean
  readonly #undo: { step: Step; undo: Undo }[] = []
  readonly #books: Bookkeeping
  #under: Promise<unknown>[] = []

  constructor(record: Mutable<JobRecord>, resumed: boolean, books: Bookkeeping) {
    this.record = record
    this.resumed = resumed
    this.#books = books
  }

  /**
   * Does one step. When a later one fails, `undo` takes this one back; so it does when this step itself fails in a way that
   * leaves open whether it was done (no answer). Steps that are begun before an earlier one is awaited run in parallel.
   */
  step<T>(name: string, work: () => Promise<T>, undo?: Undo): Promise<T> {
    const running = this.#step(name, work, undo)
    this.#under.push(running)
    return running
  }

  async #step<T>(name: string, work: () => Promise<T>, undo: Undo | undefined): Promise<T> {
    const step: Mutable<Step> = { name, status: 'running', startedAt: Date.now(), ms: 0 }
    const begun = performance.now()
    this.record.steps.push(step)
    try {
      const result = await work()
      step.status = 'done'
      if (undo) this.#undo.push({ step, undo })
      return result
    } catch (error) {
      step.status = 'failed'
      step.error = toGantryError(error).message
      if (undo && isKind(error, 'unavailable')) this.#undo.push({ step, undo })
      throw error
    } finally {
      step.ms = Math.round((performance.now() - begun) * 1000) / 1000
    }
  }

  /** Ends the job as done, in one transaction with `write`. `reply` answers its request. */
  commit(write: () => void, reply: unknown = {}): void {
    this.#books.done(write, reply)
  }

  /** Writes how far it has come, in the caller's transaction, for an engine that has to go on with it. */
  save(how: Record<string, unknown> = {}): void {
    this.record.arguments = { ...this.record.arguments, ...how }
    this.#books.save()
  }

  /** Waits for steps still under way, then undoes what was done, last first. Errors are collected. */
  async rollback(): Promise<string[]> {
    await Promise.allSettled(this.#under)
    this.#under = []
    const errors: string[] = []
    for (const { step, undo } of this.#undo.splice(0).reverse()) {
      try {
        await undo()
        if (step.status === 'done') (step as Mutable<Step>).status = 'undone'
      } catch (error) {
        errors.push(`${step.name}: ${toGantryError(error).message}`)
      }
    }
    return errors
  }
}

/** Waits for all, then throws the first failure: no step goes on behind the back of the undoing. */
export async function settled<T extends readonly unknown[]>(
  steps: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const results: PromiseSettledResult<unknown>[] = await Promise.allSettled(steps as readonly Promise<unknown>[])
  const failure = results.find((r) => r.status === 'rejected')
  if (failure) throw failure.reason
  return results.map((r) => (r as PromiseFulfilledResult<unknown>).value) as unknown as T
}

/** Runs jobs and keeps their history in the store. */
export class Jobs {
  readonly #store: Store
  readonly #log: Logger
  readonly #requests: Requests
  readonly #running = new Map<string, JobRecord>()
  #ended = 0

  constructor(store: Store, log: Logger, requests: Requests) {
    this.#store = store
    this.#log = log
    this.#requests = requests
  }

  /**
   * Runs `work` as a job: its steps are timed and recorded; when it throws, they are undone in reverse and the error is
   * passed on. `failed` may write what a failure changes, in the transaction that records it.
   */
  async run<T>(spec: JobSpec, work: (job: RunningJob) => Promise<T>, failed?: (error: unknown) => void): Promise<T> {
    const record: Mutable<JobRecord> = spec.resume ? { ...spec.resume } : this.#newRecord(spec)
    return withTrace({ job: record.id, traceparent: record.traceparent }, async () => {
      const before = spec.resume ? Date.now() - record.startedAt : 0
      const begun = performance.now()
      const end = (status: 'done' | 'failed', write: (() => void) | undefined, answer: (request: string) => void) => {
        record.ms = Math.round((before + performance.now() - begun) * 1000) / 1000
        this.#store.transaction(() => {
          write?.()
          this.#write({ ...record, status })
          if (record.request !== undefined) answer(record.request)
        })
        record.status = status
      }
      const done = (write: (() => void) | undefined, reply: unknown) =>
        end('done', write, (request) => this.#requests.reply(request, reply))
      const { intent } = spec
      if (intent !== undefined) {
        this.#store.transaction(() => {
          if (intent !== true) intent()
          this.#write(record)
        })
      }
      this.#running.set(record.id, record)
      const job = new RunningJob(record, spec.resume !== undefined, { done, save: () => this.#write(record) })
      try {
        const result = await work(job)
        if (record.status === 'running') done(undefined, result)
        return result
      } catch (error) {
        // A job that has committed is done: what came after does not undo it.
        if (record.status !== 'running' || error instanceof LeftToSuccessor) throw error
        const problems = await job.rollback()
        record.error = [toGantryError(error).message, ...problems.map((p) => `undo of ${p}`)].join('; ')
        if (problems.length > 0) this.#log.error({ problems, name: spec.name }, 'some steps could not be undone')
        const refuse = (request: string) => this.#requests.refuse(request, error)
        end('failed', failed && (() => failed(error)), refuse)
        throw error
      } finally {
        this.#running.delete(record.id)
      }
    })
  }

  #newRecord(spec: JobSpec): JobRecord {
    const request = this.#requests.take()
    return {
      id: randomBytes(32).toString('hex'),
      name: spec.name,
      container: spec.container,
      arguments: spec.arguments ?? {},
      status: 'running',
      startedAt: Date.now(),
      ms: 0,
      traceparent: traceparent(),
      ...(request === undefined ? {} : { request }),
      steps: [],
    }
  }

  #write(record: JobRecord): void {
    const { id, name, container, status } = record
    this.#store.run(
      'INSERT INTO jobs (id, name, container, status, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ' +
        'status = excluded.status, doc = excluded.doc',
      id,
      name,
      container,
      status,
      JSON.stringify(record),
    )
    if (status !== 'running' && ++this.#ended % 100 === 0) {
      this.#store.run("DELETE FROM jobs WHERE status <> 'running' AND seq <= (SELECT max(seq) FROM jobs) - ?", HISTORY)
    }
  }

  /** Jobs that an earlier process of the engine left unfinished, oldest first. */
  interrupted(): JobRecord[] {
    return this.#store
      .all<{ doc: string }>("SELECT doc FROM jobs WHERE status = 'running' ORDER BY seq")
      .map((row) => JSON.parse(row.doc) as JobRecord)
      .filter((record) => !this.#running.has(record.id))
  }

  /**
   * Closes an interrupted job, in one transaction with `write`. One that is done answers its request with `reply`; one that was undone is done
   * anew when its request is sent again.
   */
  close(
    record: JobRecord,
    status: 'done' | 'failed',
    how: string,
    write: () => void = () => undefined,
    reply: unknown = {},
  ): void {
    this.#store.transaction(() => {
      write()
      if (status === 'done' && record.request !== undefined) this.#requests.reply(record.request, reply)
      this.#write({
        ...record,
        status,
        ms: Date.now() - record.startedAt,
        ...(status === 'failed' ? { error: how } : {}),
      })
    })
  }

  /** The latest, newest last. */
  list(last: number): JobRecord[] {
    const rows = this.#store.all<{ id: string; doc: string }>(
      'SELECT id, doc FROM jobs ORDER BY seq DESC LIMIT ?',
      last,
    )
    const written = rows.reverse().map((row) => this.#running.get(row.id) ?? (JSON.parse(row.doc) as JobRecord))
    const unwritten = [...this.#running.values()].filter((r) => !rows.some((row) => row.id === r.id))
    return [...written, ...unwritten].slice(-last)
  }
}

/** W3C trace context: a new span, in the caller's trace where there is one. */
function traceparent(): string {
  const outer = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(currentTrace().traceparent ?? '')
  return `00-${outer?.[1] ?? randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`
}
