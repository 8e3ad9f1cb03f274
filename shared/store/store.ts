import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { EventMessage } from '../contracts/index.ts'
import { currentTrace } from '../log/index.ts'

/** The part of an event that its teller knows; the store adds time, node and job. */
export interface NewEvent {
  readonly type: string
  readonly action: string
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
}

/** What follows a transaction: `committed` when it is written, `undone` when nothing of it is. */
interface Settling {
  readonly committed?: () => void
  readonly undone?: () => void
}

/** One row waiting to be published. */
export interface OutboxRow {
  readonly id: number
  readonly subject: string
  readonly payload: string
}

const OUTBOX = `
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`

/** What is kept in memory may differ from the database now: the process ends, and its successor reads it anew. */
const endProcess = (error: unknown): void =>
  queueMicrotask(() => {
    throw error
  })

/**
 * A service's own SQLite file: WAL, synchronous=FULL, one writer (this process). Calls are synchronous: a transaction is
 * one function without `await`, so nothing of this process comes between its statements.
 */
export class Store {
  readonly #db: DatabaseSync
  readonly #node: string
  readonly #statements = new Map<string, StatementSync>()
  #depth = 0
  #emitted = false
  #settling: Settling[] = []
  #onEmit: () => void = () => undefined
  readonly #report: (error: unknown) => void

  /** `report` is told of what follows a transaction and fails: the transaction itself stays what it is. */
  constructor(path: string, migrations: readonly string[], node: string, report = endProcess) {
    this.#report = report
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.#db = new DatabaseSync(path)
    if (path !== ':memory:') chmodSync(path, 0o600)
    this.#node = node
    this.#db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;')
    this.#db.exec(OUTBOX)
    this.#migrate(migrations)
  }

  #migrate(migrations: readonly string[]): void {
    const version = Number(this.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0)
    migrations.slice(version).forEach((sql, i) => {
      this.transaction(() => {
        this.#db.exec(sql)
        this.#db.exec(`PRAGMA user_version=${version + i + 1}`)
      })
    })
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** Runs a statement that changes something. */
  run(sql: string, ...args: SQLInputValue[]): { changes: number; lastInsertRowid: number } {
    const r = this.#prepare(sql).run(...args)
    return { changes: Number(r.changes), lastInsertRowid: Number(r.lastInsertRowid) }
  }

  get<Row>(sql: string, ...args: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...args) as Row | undefined
  }

  all<Row>(sql: string, ...args: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...args) as Row[]
  }

  /** All or nothing. Nested calls join the outer transaction. */
  transaction<T>(work: () => T): T {
    if (this.#depth > 0) return work()
    this.#db.exec('BEGIN IMMEDIATE')
    this.#depth++
    let result: T
    try {
      result = work()
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollback()
      this.#emitted = false
      for (const { undone } of this.#settling.splice(0).reverse()) this.#guarded(undone)
      throw error
    } finally {
      this.#depth--
    }
    for (const { committed } of this.#settling.splice(0)) this.#guarded(committed)
    if (this.#emitted) {
      this.#emitted = false
      this.#guarded(this.#onEmit)
    }
    return result
  }

  /** One that fails does not keep the others from running. */
  #guarded(follow: (() => void) | undefined): void {
    try {
      follow?.()
    } catch (error) {
      this.#report(error)
    }
  }

  #rollback(): void {
    try {
      this.#db.exec('ROLLBACK')
    } catch {
      // SQLite has done it by itself (https://www.sqlite.org/lang_transaction.html: disk full, I/O error).
    }
  }

  /** What is kept in memory of the rows that are being written follows what becomes of the transaction. */
  settled(then: Settling): void {
    if (this.#depth > 0) this.#settling.push(then)
    else then.committed?.()
  }

  /**
   * Puts an event into the outbox, in the caller's transaction: change and event are there together or not at all. The relay
   * publishes it afterwards.
   */
  emit(event: NewEvent, at: Date = new Date()): void {
    const job = currentTrace().job
    const ms = at.getTime()
    const message: EventMessage = {
      Type: event.type,
      Action: event.action,
      Actor: { ID: event.id, Attributes: { ...event.attributes } },
      scope: 'local',
      time: Math.floor(ms / 1000),
      // Docker's clients read this as a 64-bit integer; a number of nanoseconds is not exact in JSON, so the low digits are the
      // sub-millisecond clock's best effort.
      timeNano: ms * 1_000_000,
      node: this.#node,
      ...(job === undefined ? {} : { job }),
    }
    // An action such as `exec_start: sh -c ls` or `health_status: healthy` has words that a subject cannot have.
    const token = event.action.split(':')[0]!.replace(/[^A-Za-z0-9_-]/g, '_')
    this.transaction(() => {
      this.run(
        'INSERT INTO outbox (subject, payload, created) VALUES (?, ?, ?)',
        `gantry.${this.#node}.events.${event.type}.${token}`,
        JSON.stringify(message),
        ms,
      )
      this.#emitted = true
    })
  }

  /** Rows after `id`, oldest first. For the relay. */
  outboxAfter(id: number, limit: number): OutboxRow[] {
    return this.all<OutboxRow>('SELECT id, subject, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?', id, limit)
  }

  onEmit(listener: () => void): void {
    this.#onEmit = listener
  }

  meta(key: string): string | undefined {
    return this.get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key)?.value
  }

  setMeta(key: string, value: string): void {
    this.run('INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value', key, value)
  }

  close(): void {
    this.#statements.clear()
    this.#db.close()
  }
}
