import { randomUUID } from 'node:crypto'
import type { Bus } from '../bus/index.ts'
import { isKind } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import type { Store } from './store.ts'

/** How long published rows are kept: longer than nats-server may hold a message without having synced it to disk. */
const KEEP_MS = 180_000
const PRUNE_EVERY_MS = 30_000
const RETRY_MS = 250
const BATCH = 100
/** Clocks of stream and store are the same machine's; a second of slack costs nothing. */
const SLACK_MS = 1_000

export interface Relay {
  /** Resolves when everything that was emitted before the call is in the stream. */
  flushed(): Promise<void>
  stop(): Promise<void>
}

/**
 * Publishes a store's outbox, in order, each row once. Rows have message ids of their own, so one that is sent again soon is
 * dropped by the stream; and after a restart the rows that are still kept are compared with what the stream really has, so that
 * neither a crash of this process nor one of the machine loses or doubles an event.
 */
export async function startRelay(store: Store, bus: Bus, log: Logger): Promise<Relay> {
  const self = identity(store)
  const messageId = (row: number): string => `${self}:${row}`
  const present = await presentInStream(store, bus, self)
  let published = 0
  let stopping = false
  let wake: () => void = () => undefined
  let waiters: { id: number; resolve: () => void }[] = []

  const lastId = (): number => store.get<{ id: number | null }>('SELECT max(id) AS id FROM outbox')?.id ?? 0
  const settle = (): void => {
    waiters = waiters.filter((w) => {
      if (w.id <= published) w.resolve()
      return w.id > published
    })
  }

  const loop = async (): Promise<void> => {
    while (!stopping) {
      const rows = store.outboxAfter(published, BATCH)
      if (rows.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
          if (stopping || store.outboxAfter(published, 1).length > 0) resolve()
        })
        continue
      }
      for (const row of rows) {
        if (stopping) return
        if (!present.delete(row.id)) {
          try {
            await bus.publishEvent(row.subject, row.payload, messageId(row.id))
          } catch (error) {
            if (isKind(error, 'invalid')) {
              // It must not hold up all that come after it.
              log.error({ err: error, subject: row.subject }, 'an event that no stream takes is dropped')
            } else {
              log.warn({ err: error }, 'event not published yet; trying again')
              await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
              break
            }
          }
        }
        published = row.id
      }
      settle()
    }
  }

  store.onEmit(() => wake())
  const running = loop().catch((error: unknown) => log.error({ err: error }, 'outbox relay ended'))
  const prune = setInterval(() => {
    try {
      store.run('DELETE FROM outbox WHERE id <= ? AND created < ?', published, Date.now() - KEEP_MS)
    } catch (error) {
      log.warn({ err: error }, 'outbox not pruned')
    }
  }, PRUNE_EVERY_MS)
  prune.unref()

  return {
    flushed: () =>
      new Promise((resolve) => {
        waiters.push({ id: lastId(), resolve })
        settle()
      }),
    async stop() {
      stopping = true
      clearInterval(prune)
      store.onEmit(() => undefined)
      wake()
      await running
    },
  }
}

/** Names this database in message ids; a new database is a new teller. */
function identity(store: Store): string {
  const known = store.meta('teller')
  if (known !== undefined) return known
  const id = randomUUID()
  store.setMeta('teller', id)
  return id
}

/** Which rows of the outbox the stream has already. */
async function presentInStream(store: Store, bus: Bus, self: string): Promise<Set<number>> {
  const present = new Set<number>()
  const oldest = store.get<{ created: number | null }>('SELECT min(created) AS created FROM outbox')?.created
  if (oldest === null || oldest === undefined) return present
  const query = { since: new Date(oldest - SLACK_MS), until: new Date(), signal: new AbortController().signal }
  for await (const { messageId } of bus.events(query)) {
    if (messageId.startsWith(`${self}:`)) present.add(Number(messageId.slice(self.length + 1)))
  }
  return present
}
