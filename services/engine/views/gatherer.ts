import { setTimeout as delay } from 'node:timers/promises'

/** How long questions are gathered. */
const GATHER_MS = 10

/** Puts the questions of many streams about one container each together into one about all of them. */
export class Gatherer<T> {
  readonly #ask: (ids: string[]) => Promise<Readonly<Record<string, T>>>
  #next: { readonly ids: Set<string>; readonly replies: Promise<Readonly<Record<string, T>>> } | undefined

  constructor(ask: (ids: string[]) => Promise<Readonly<Record<string, T>>>) {
    this.#ask = ask
  }

  /** undefined when there is none of that id. */
  async of(id: string): Promise<T | undefined> {
    this.#next ??= this.#gather()
    this.#next.ids.add(id)
    return (await this.#next.replies)[id]
  }

  #gather() {
    const ids = new Set<string>()
    const replies = delay(GATHER_MS).then(() => {
      this.#next = undefined
      return this.#ask([...ids])
    })
    return { ids, replies }
  }
}
