import { fromWire, isKind, toWire, type WireError } from '../../shared/errors/index.ts'
import { currentTrace } from '../../shared/log/index.ts'
import type { Store } from '../../shared/store/index.ts'

/** How long an answer is kept: much longer than any caller goes on asking. */
const KEEP_MS = 600_000
/** Old answers are looked for after so many new ones. */
const PRUNE_EVERY = 100

type Answer = { readonly reply: unknown } | { readonly error: WireError }

/**
 * Requests that change something are done once, however often they are sent: while one is worked on, also by the recovery of an engine that
 * died, whoever sends it again waits with the first; afterwards it is answered with what became of it.
 *
 * The first job of a request answers it: the answer is written in the transaction that ends the job.
 */
export class Requests {
  readonly #store: Store
  readonly #underWay = new Map<string, Promise<unknown>>()
  readonly #recovering = new Map<string, Promise<unknown>>()
  /** Those whose job has not begun yet. */
  readonly #open = new Set<string>()
  #written = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** Does `work` for the request that is being served, unless that is or was done already. */
  once<T>(work: () => Promise<T>): Promise<T> {
    const { request } = currentTrace()
    if (request === undefined) return work()
    const known = this.#underWay.get(request)
    if (known) return known as Promise<T>
    const done = this.#first(request, work).finally(() => {
      this.#underWay.delete(request)
      this.#open.delete(request)
    })
    this.#underWay.set(request, done)
    return done
  }

  async #first<T>(request: string, work: () => Promise<T>): Promise<T> {
    for (let under; (under = this.#recovering.get(request));) await under
    const answer = this.#answer(request)
    if (!answer) {
      this.#open.add(request)
      return work()
    }
    if ('error' in answer) throw fromWire(answer.error)
    return answer.reply as T
  }

  #answer(request: string): Answer | undefined {
    const row = this.#store.get<{ answer: string }>('SELECT answer FROM answers WHERE request = ?', request)
    return row && (JSON.parse(row.answer) as Answer)
  }

  /** The request that a job begun now answers; undefined when there is none, or an earlier job does. */
  take(): string | undefined {
    const { request } = currentTrace()
    return request !== undefined && this.#open.delete(request) ? request : undefined
  }

  /** A job that an earlier engine left unfinished is being finished or undone: who sends its request again waits for that. */
  recover(request: string | undefined, work: Promise<unknown>): void {
    if (request === undefined) return
    const before = this.#recovering.get(request)
    const all = Promise.allSettled([before, work]).finally(() => {
      if (this.#recovering.get(request) === all) this.#recovering.delete(request)
    })
    this.#recovering.set(request, all)
  }

  /** Notes a reply. Inside the transaction that ends the job. */
  reply(request: string, reply: unknown = {}): void {
    this.#write(request, { reply })
  }

  /** Notes a failure, unless it says nothing about the request: one for which somebody was not there may be sent again. */
  refuse(request: string, error: unknown): void {
    if (!isKind(error, 'unavailable')) this.#write(request, { error: toWire(error) })
  }

  #write(request: string, answer: Answer): void {
    const now = Date.now()
    this.#store.run('INSERT OR REPLACE INTO answers VALUES (?, ?, ?)', request, JSON.stringify(answer), now)
    if (++this.#written % PRUNE_EVERY === 0) this.#store.run('DELETE FROM answers WHERE ended < ?', now - KEEP_MS)
  }
}
