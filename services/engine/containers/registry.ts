import { conflict, invalid, notFound } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { withState, type Container, type ContainerState } from './container.ts'
import { inventName } from './names.ts'

/** How many exit codes of removed containers are remembered, for waits that outlive a restart of the engine. */
const TOMBSTONES = 1000
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/

/**
 * All containers: rows of the store (JSON document and the columns that queries need), read once and kept in memory.
 * Methods that write must be called inside a transaction of the store. When that fails, what is kept in memory is read anew; when it is
 * committed, those who wait for a change are told.
 */
export class Containers {
  readonly #store: Store
  readonly #byId = new Map<string, Container>()
  readonly #byName = new Map<string, string>()
  readonly #listeners = new Map<string, Set<() => void>>()
  #onChange: () => void = () => undefined

  constructor(store: Store) {
    this.#store = store
    for (const row of store.all<{ doc: string }>('SELECT doc FROM containers ORDER BY created')) {
      const container = JSON.parse(row.doc) as Container
      this.#byId.set(container.id, container)
    }
    for (const row of store.all<{ name: string; container: string }>('SELECT name, container FROM names')) {
      this.#byName.set(row.name, row.container)
    }
  }

  /** Oldest first. */
  all(): Container[] {
    return [...this.#byId.values()]
  }

  get(id: string): Container | undefined {
    return this.#byId.get(id)
  }

  /** By full id, name or unique id prefix. @throws `not-found` "No such container: x"; `invalid` when ambiguous. */
  find(ref: string): Container {
    const found = this.peek(ref)
    if (found) return found
    throw notFound(`No such container: ${ref}`)
  }

  /** The same, undefined when there is none. */
  peek(ref: string): Container | undefined {
    const exact = this.#byId.get(ref) ?? this.#byId.get(this.#byName.get(ref.replace(/^\//, '')) ?? '')
    if (exact) return exact
    if (/^[a-f0-9]{1,64}$/.test(ref)) {
      const matches = [...this.#byId.keys()].filter((id) => id.startsWith(ref))
      if (matches.length > 1) throw invalid(`multiple IDs found with provided prefix: ${ref}`)
      return this.#byId.get(matches[0] ?? '')
    }
    return undefined
  }

  /**
   * Takes a name for a container; empty: invents one. Inside a transaction.
   * @throws `invalid` when it is not a name, `conflict` naming the holder.
   */
  reserveName(wanted: string, id: string): string {
    const given = wanted.replace(/^\//, '')
    if (given !== '' && !NAME.test(given)) {
      throw invalid(`Invalid container name (${given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
    }
    const name = given === '' ? inventName((n) => this.#byName.has(n)) : given
    const holder = this.#byName.get(name)
    if (holder === id) return name
    if (holder !== undefined) {
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove ` +
          '(or rename) that container to be able to reuse that name.',
      )
    }
    this.#writing(id)
    this.#store.run('INSERT INTO names (name, container) VALUES (?, ?)', name, id)
    this.#byName.set(name, id)
    return name
  }

  #writing(id: string): void {
    this.#store.settled({ committed: () => this.#changed(id), undone: () => this.#reload(id) })
  }

  /** Gives a container's names free, but for `keep`. Inside a transaction. */
  releaseNames(id: string, keep?: string): void {
    this.#writing(id)
    this.#store.run('DELETE FROM names WHERE container = ? AND name <> ?', id, keep ?? '')
    for (const [name, holder] of this.#byName) if (holder === id && name !== keep) this.#byName.delete(name)
  }

  /** Writes a container, new or changed. Inside a transaction. */
  put(container: Container): void {
    this.#writing(container.id)
    this.#store.run(
      'INSERT INTO containers (id, name, status, image, created, doc) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) ' +
        'DO UPDATE SET name = excluded.name, status = excluded.status, image = excluded.image, doc = excluded.doc',
      container.id,
      container.name,
      container.state.status,
      container.imageId,
      Date.parse(container.created),
      JSON.stringify(container),
    )
    this.#byId.set(container.id, container)
  }

  /** Changes the state of a container as it is now. Inside a transaction. @returns the changed one. */
  setState(id: string, change: Partial<ContainerState>): Container {
    const container = withState(this.find(id), change)
    this.put(container)
    return container
  }

  /** Forgets a container; its last exit code is kept for those who wait. Inside a transaction. */
  delete(container: Container): void {
    this.releaseNames(container.id)
    this.#store.run('DELETE FROM containers WHERE id = ?', container.id)
    this.#store.run(
      'INSERT OR REPLACE INTO removed (id, exit_code) VALUES (?, ?)',
      container.id,
      container.state.exitCode,
    )
    this.#store.run('DELETE FROM removed WHERE seq <= (SELECT max(seq) FROM removed) - ?', TOMBSTONES)
    this.#byId.delete(container.id)
  }

  /** The exit code of a container that is gone; undefined when that is long ago. */
  removedExitCode(id: string): number | undefined {
    return this.#store.get<{ exit_code: number }>('SELECT exit_code FROM removed WHERE id = ?', id)?.exit_code
  }

  /** Reads a container again, after a transaction that wrote it was rolled back. */
  #reload(id: string): void {
    const row = this.#store.get<{ doc: string }>('SELECT doc FROM containers WHERE id = ?', id)
    if (row) this.#byId.set(id, JSON.parse(row.doc) as Container)
    else this.#byId.delete(id)
    for (const [name, holder] of this.#byName) if (holder === id) this.#byName.delete(name)
    for (const { name } of this.#store.all<{ name: string }>('SELECT name FROM names WHERE container = ?', id)) {
      this.#byName.set(name, id)
    }
  }

  #changed(id: string): void {
    this.#onChange()
    for (const listener of this.#listeners.get(id) ?? []) listener()
  }

  /** `told` is called as soon as a change of any container is committed. */
  onChange(told: () => void): void {
    this.#onChange = told
  }

  /** Calls `listener` after each change of a container (or its removal), until the returned function is called. */
  watch(id: string, listener: () => void): () => void {
    const set = this.#listeners.get(id) ?? new Set()
    this.#listeners.set(id, set.add(listener))
    return () => {
      set.delete(listener)
      if (set.size === 0 && this.#listeners.get(id) === set) this.#listeners.delete(id)
    }
  }

  /**
   * Resolves with true as soon as `condition` holds for the container (undefined: it is gone), with false after
   * `timeoutMs` or when `signal` is aborted.
   */
  async until(
    id: string,
    condition: (container: Container | undefined) => boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (condition(this.get(id))) return true
    if (signal?.aborted) return false
    return new Promise((resolve) => {
      const done = (result: boolean) => {
        clearTimeout(timer)
        unwatch()
        signal?.removeEventListener('abort', cancel)
        resolve(result)
      }
      const cancel = () => done(false)
      // Longer than setTimeout can count is for ever.
      const timer = timeoutMs < 2 ** 31 ? setTimeout(cancel, timeoutMs) : undefined
      const unwatch = this.watch(id, () => {
        if (condition(this.get(id))) done(true)
      })
      signal?.addEventListener('abort', cancel)
    })
  }
}
