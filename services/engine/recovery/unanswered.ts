import type { Store } from '../../../shared/store/index.ts'

/** Callers ask again soon after the engine is back; later it is somebody else who asks. */
const LIFE_MS = 10_000
const KEY = 'unanswered'

type Verb = 'start' | 'remove' | 'disconnect'

/** What a disconnection is of: a container may have several networks. */
export const disconnection = (container: string, network: string): string => `${container} ${network}`

/**
 * Operations that recovery finished, by what they were of (a container first). Their callers got no answer, and ask again: then it is done already, though by now the container
 * may have ended, or be gone. Kept in the database, since the engine may die again before they ask.
 */
export class Unanswered {
  readonly #store: Store
  readonly #until: Map<string, number>

  constructor(store: Store) {
    this.#store = store
    this.#until = new Map(JSON.parse(store.meta(KEY) ?? '[]') as [string, number][])
  }

  note(verb: Verb, ...refs: readonly string[]): void {
    const now = Date.now()
    for (const [key, until] of this.#until) if (until < now) this.#until.delete(key)
    for (const ref of refs) this.#until.set(`${verb} ${ref}`, now + LIFE_MS)
    this.#write()
  }

  /** Whether this is such a repeated question; it is answered once. */
  take(verb: Verb, ref: string): boolean {
    const key = `${verb} ${ref.replace(/^\//, '')}`
    const until = this.#until.get(key)
    if (until === undefined) return false
    this.#until.delete(key)
    this.#write()
    return Date.now() < until
  }

  /** A user does something else with a container: what comes next is meant anew. */
  forget(id: string): void {
    const ofContainer = (key: string): boolean => key.split(' ')[1] === id
    if ([...this.#until.keys()].filter(ofContainer).filter((key) => this.#until.delete(key)).length > 0) this.#write()
  }

  #write(): void {
    this.#store.setMeta(KEY, JSON.stringify([...this.#until]))
  }
}
