import type { DriverState } from '../../shared/drivers/index.ts'
import type { Store } from '../../shared/store/index.ts'

/** What later verbs need to know of a request. */
export interface ProcessFacts {
  readonly rootfs: string
  readonly hostname: string
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly log: { readonly driver: string; readonly options: Readonly<Record<string, string>> }
  readonly logPath: string
  readonly shmPath?: string
}

export interface ProcessRow {
  readonly id: string
  readonly instance: string
  readonly status: 'creating' | 'running' | 'exited'
  readonly runtime: string
  readonly pid: number
  readonly startedAt: string
  readonly exitCode?: number
  readonly finishedAt?: string
  readonly told: boolean
  readonly state?: DriverState
  readonly facts: ProcessFacts
}

export interface SessionRow {
  readonly id: string
  readonly container: string
  readonly runtime: string
  readonly status: 'creating' | 'running' | 'exited'
  readonly pid: number
  readonly exitCode?: number
  readonly told: boolean
  readonly state?: DriverState
}

/** Ended sessions that are remembered, for a late `session.state`. */
const REMEMBERED_SESSIONS = 500

/** The service's tables, with every process and session also in memory: reading costs nothing. */
export class Records {
  readonly processes = new Map<string, ProcessRow>()
  readonly sessions = new Map<string, SessionRow>()
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
    for (const row of store.all<Record<string, unknown>>('SELECT * FROM process')) {
      const process = toProcess(row)
      this.processes.set(process.id, process)
    }
    for (const row of store.all<Record<string, unknown>>('SELECT * FROM session ORDER BY created')) {
      const session = toSession(row)
      this.sessions.set(session.id, session)
    }
  }

  putProcess(p: ProcessRow): void {
    this.#store.run(
      `INSERT OR REPLACE INTO process (id, instance, status, runtime, pid, started_at, exit_code, finished_at, told, state, facts)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[p.id, p.instance, p.status, p.runtime, p.pid, p.startedAt, p.exitCode ?? null, p.finishedAt ?? null],
      ...[Number(p.told), p.state ? JSON.stringify(p.state) : '', JSON.stringify(p.facts)],
    )
    this.processes.set(p.id, p)
  }

  /** Removes a container's process and all of its sessions. */
  deleteProcess(id: string): void {
    this.#store.transaction(() => {
      this.#store.run('DELETE FROM process WHERE id = ?', id)
      this.#store.run('DELETE FROM session WHERE container = ?', id)
    })
    this.processes.delete(id)
    for (const session of this.sessionsOf(id)) this.sessions.delete(session.id)
  }

  sessionsOf(container: string): SessionRow[] {
    return [...this.sessions.values()].filter((s) => s.container === container)
  }

  putSession(s: SessionRow): void {
    this.#store.run(
      `INSERT INTO session (id, container, runtime, status, pid, exit_code, told, state, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET status = excluded.status, pid = excluded.pid, exit_code = excluded.exit_code,
         told = excluded.told, state = excluded.state`,
      ...[s.id, s.container, s.runtime, s.status, s.pid, s.exitCode ?? null, Number(s.told)],
      ...[s.state ? JSON.stringify(s.state) : '', Date.now()],
    )
    this.sessions.set(s.id, s)
    if (s.status === 'exited' && this.sessions.size > 2 * REMEMBERED_SESSIONS) this.#forgetOldSessions()
  }

  deleteSession(id: string): void {
    this.#store.run('DELETE FROM session WHERE id = ?', id)
    this.sessions.delete(id)
  }

  #forgetOldSessions(): void {
    const ended = [...this.sessions.values()].filter((s) => s.status === 'exited' && s.told)
    this.#store.transaction(() => {
      for (const { id } of ended.slice(0, -REMEMBERED_SESSIONS)) this.deleteSession(id)
    })
  }
}

type Row = Record<string, unknown>

const toProcess = (row: Row): ProcessRow => ({
  id: String(row['id']),
  instance: String(row['instance']),
  status: row['status'] as ProcessRow['status'],
  runtime: String(row['runtime']),
  pid: Number(row['pid']),
  startedAt: String(row['started_at']),
  ...(row['exit_code'] === null ? {} : { exitCode: Number(row['exit_code']) }),
  ...(row['finished_at'] === null ? {} : { finishedAt: row['finished_at'] as string }),
  told: row['told'] === 1,
  ...(row['state'] === '' ? {} : { state: JSON.parse(String(row['state'])) as DriverState }),
  facts: JSON.parse(String(row['facts'])) as ProcessFacts,
})

const toSession = (row: Row): SessionRow => ({
  id: String(row['id']),
  container: String(row['container']),
  runtime: String(row['runtime']),
  status: row['status'] as SessionRow['status'],
  pid: Number(row['pid']),
  ...(row['exit_code'] === null ? {} : { exitCode: Number(row['exit_code']) }),
  told: row['told'] === 1,
  ...(row['state'] === '' ? {} : { state: JSON.parse(String(row['state'])) as DriverState }),
})
