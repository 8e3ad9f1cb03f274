import type { Store } from '../../shared/store/index.ts'

/** Callers ask again soon after the service is back; later it is somebody else who asks. */
const LIFE_MS = 10_000
const KEY = 'finished-removals'

interface Removal {
  readonly id: string
  readonly name: string
  readonly until: number
}

/**
 * Removals of networks that recovery finished. Their callers got no answer, and ask again: then it is done already. Kept in the
 * database, since the service may die again before they ask.
 */
export class FinishedRemovals {
  readonly #store: Store
  #removals: readonly Removal[]

  constructor(store: Store) {
    this.#store = store
    this.#removals = JSON.parse(store.meta(KEY) ?? '[]') as Removal[]
  }

  note({ id, name }: { readonly id: string; readonly name: string }): void {
    this.#write([...this.#removals, { id, name, until: Date.now() + LIFE_MS }])
  }

  /** Whether this asks for such a removal again; it is answered once. `ref`: name, id or the beginning of the id. */
  take(ref: string): boolean {
    const asked = this.#removals.find((r) => r.until > Date.now() && (r.name === ref || r.id.startsWith(ref)))
    if (asked) this.#write(this.#removals.filter((r) => r !== asked))
    return asked !== undefined
  }

  /** There is a new network of that name: who asks for its removal means that one. */
  forget(name: string): void {
    if (this.#removals.some((r) => r.name === name)) this.#write(this.#removals.filter((r) => r.name !== name))
  }

  #write(removals: readonly Removal[]): void {
    this.#removals = removals.filter((r) => r.until > Date.now())
    this.#store.setMeta(KEY, JSON.stringify(this.#removals))
  }
}
