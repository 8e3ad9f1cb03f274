import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isAway } from '../../../shared/bus/index.ts'
import type { CallOptions, Client, Contract, Health } from '../../../shared/contracts/index.ts'
import { unavailable } from '../../../shared/errors/index.ts'

/**
 * Makes the restart of a service hardly noticeable. Verbs are idempotent and ids are chosen by the caller; each call has an id, too, by
 * which the engine knows one that is sent again. So:
 *
 * - a call that finds nobody is sent again for a while, with growing pauses;
 * - a call that is under way for long is watched: when its service turns out to have started after it was sent (or to be
 *   gone), the call died with the old process and is sent again, long before its own time-out (a day, for `stop`).
 *
 * An `unavailable` that a service itself answers (a driver that cannot run, a lower service that is away) is final here.
 */
export interface Patience {
  /** How long a service may be away. */
  readonly awayMs: number
  readonly firstPauseMs: number
  readonly longestPauseMs: number
  /** How often a call under way is checked. */
  readonly watchMs: number
}

export const PATIENCE: Patience = { awayMs: 10_000, firstPauseMs: 25, longestPauseMs: 500, watchMs: 2_000 }

/** A request that kills its service must not be repeated for ever. */
const MOST_RESENDS = 3

type Verb = (request: unknown, options?: CallOptions) => Promise<unknown>

export function resilient<C extends Contract>(client: Client<C>, patience: Patience = PATIENCE): Client<C> {
  const verbs = client as unknown as Record<string, Verb>
  const health = verbs['health'] as ((request: object, options: CallOptions) => Promise<Health>) | undefined
  const entries = Object.entries(verbs).map(([name, send]): [string, Verb] => [
    name,
    name === 'health' ? send : (request, options) => call(named(send, request, options), health, patience),
  ])
  return Object.fromEntries(entries) as unknown as Client<C>
}

/** Of this process; together with a count, the id of a call. */
const prefix = randomBytes(16).toString('hex')
let calls = 0

function named(send: Verb, request: unknown, options: CallOptions | undefined): () => Promise<unknown> {
  const named = { ...options, request: `${prefix}-${++calls}` }
  return () => send(request, named)
}

type AskHealth = ((request: object, options: CallOptions) => Promise<Health>) | undefined

async function call(send: () => Promise<unknown>, health: AskHealth, patience: Patience): Promise<unknown> {
  let awaySince: number | undefined
  let resends = 0
  for (let pause = patience.firstPauseMs; ; pause = Math.min(pause * 2, patience.longestPauseMs)) {
    try {
      const outcome = await watched(send(), health, patience.watchMs)
      if (outcome !== LOST) return outcome
      resends += 1
      awaySince = undefined
      if (resends > MOST_RESENDS) throw unavailable('the service died again and again while it worked on this request')
    } catch (error) {
      if (!isAway(error)) throw error
      awaySince ??= Date.now()
      if (Date.now() - awaySince > patience.awayMs) throw error
    }
    await delay(pause)
  }
}

const LOST = Symbol('the service that had the call is no more')

function watched(answer: Promise<unknown>, health: AskHealth, watchMs: number): Promise<unknown> {
  if (!health) return answer
  const sentAt = performance.now()
  return new Promise((resolve, reject) => {
    const watch = (): void => {
      void isLost(sentAt, health, watchMs).then((lost) => {
        if (lost) resolve(LOST)
        else if (!over) timer = setTimeout(watch, watchMs)
      })
    }
    let over = false
    let timer = setTimeout(watch, watchMs)
    // A lost call still fails when its own time is up; nobody waits for it any more.
    void answer.then(resolve, reject).finally(() => {
      over = true
      clearTimeout(timer)
    })
  })
}

async function isLost(sentAt: number, health: NonNullable<AskHealth>, timeoutMs: number): Promise<boolean> {
  try {
    // Taken before it is asked: the start that this yields is never later than the true one, so that no answer that was slow makes
    // a service look restarted. A supervisor starts a service again within milliseconds: there is no room for slack.
    const askedAt = performance.now()
    const { uptime } = await health({}, { timeoutMs })
    return askedAt - uptime * 1000 > sentAt
  } catch (error) {
    return isAway(error)
  }
}
