import { notFound } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import type { ExecConfig } from '../config/schema.ts'

/** How long the exit code of one that has ended can be asked for. */
const KEEP_MS = 10 * 60_000

/** A further process of a container (docker exec). */
export interface Exec {
  readonly id: string
  readonly container: string
  readonly config: ExecConfig
  readonly status: 'created' | 'running' | 'ended'
  readonly pid: number
  readonly exitCode: number | null
  /** It was found running after the engine died: its client has no answer yet, and asks again. */
  readonly adopted?: boolean
  /** Milliseconds since the epoch; when it ended. */
  readonly finished: number | null
}

/**
 * The records of exec sessions. Methods that write must be called inside a transaction of the store; when that fails, what is kept in memory
 * is as before.
 */
export class Execs {
  readonly #store: Store
  readonly #byId = new Map<string, Exec>()
  #onChange: () => void = () => undefined

  constructor(store: Store) {
    this.#store = store
    for (const row of store.all<{ doc: string }>('SELECT doc FROM execs ORDER BY rowid')) {
      const exec = JSON.parse(row.doc) as Exec
      this.#byId.set(exec.id, exec)
    }
  }

  /** `told` is called as soon as a change is committed. */
  onChange(told: () => void): void {
    this.#onChange = told
  }

  get(id: string): Exec | undefined {
    return this.#byId.get(id)
  }

  /** @throws `not-found` "No such exec instance: x". */
  find(id: string): Exec {
    const exec = this.#byId.get(id)
    if (exec) return exec
    throw notFound(`No such exec instance: ${id}`)
  }

  of(container: string): Exec[] {
    return [...this.#byId.values()].filter((e) => e.container === container)
  }

  with(status: Exec['status']): Exec[] {
    return [...this.#byId.values()].filter((e) => e.status === status)
  }

  put(exec: Exec): void {
    this.#store.run(
      'INSERT INTO execs (id, container, finished, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ' +
        'finished = excluded.finished, doc = excluded.doc',
      exec.id,
      exec.container,
      exec.finished,
      JSON.stringify(exec),
    )
    this.#set(exec.id, exec)
    if (exec.finished !== null) this.#forgetOld(exec.finished - KEEP_MS)
  }

  #forgetOld(before: number): void {
    this.#store.run('DELETE FROM execs WHERE finished < ?', before)
    for (const { id, finished } of this.#byId.values()) {
      if (finished !== null && finished < before) this.#set(id, undefined)
    }
  }

  #set(id: string, exec: Exec | undefined): void {
    const set = (value: Exec | undefined) => (value ? this.#byId.set(id, value) : this.#byId.delete(id))
    const before = this.#byId.get(id)
    this.#store.settled({ committed: () => this.#onChange(), undone: () => set(before) })
    set(exec)
  }

  /** Forgets those of a container that is removed. */
  deleteOf(container: string): void {
    const ids = this.of(container).map((e) => e.id)
    if (ids.length === 0) return
    this.#store.run('DELETE FROM execs WHERE container = ?', container)
    for (const id of ids) this.#set(id, undefined)
  }
}
