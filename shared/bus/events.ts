import { DeliverPolicy, type JetStreamClient, type JetStreamManager } from 'nats'
import type { EventMessage } from '../contracts/index.ts'
import { decode } from './codec.ts'
import { EVENTS_STREAM, eventSubjects } from './subjects.ts'

export interface EventQuery {
  readonly since?: Date
  /** The sequence ends here; absent: it goes on for ever. */
  readonly until?: Date
  /** Only events with a greater sequence number; wins over `since`. */
  readonly afterSeq?: number
  readonly signal: AbortSignal
}

export interface SequencedEvent {
  readonly seq: number
  /** For deduplication: who told it and which of its tellings it is. */
  readonly messageId: string
  readonly event: EventMessage
}

/** For events that were told just before a future end and are still on their way. */
const GRACE_MS = 250
/** A query of the past knows its last event; only a bus that is silent for so long ends it before. */
const SILENCE_MS = 10_000
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Events in stream order: first those of the past that the query asks for, then live ones. An ordered consumer asks again for
 * what it missed when the connection was away, so a slow or interrupted reader loses nothing that the stream still has.
 */
export async function* readEvents(
  js: JetStreamClient,
  manager: JetStreamManager,
  node: string,
  query: EventQuery,
): AsyncGenerator<SequencedEvent> {
  const untilMs = query.until?.getTime() ?? Infinity
  const past = untilMs <= Date.now()
  // What is in the stream now bounds a query of the past: it must not wait for an event that never comes.
  const last = past ? (await manager.streams.info(EVENTS_STREAM)).state : undefined
  if (last !== undefined) {
    if (last.messages === 0 || last.last_seq <= (query.afterSeq ?? 0)) return
    if (query.afterSeq === undefined && Date.parse(last.last_ts) < (query.since?.getTime() ?? untilMs)) return
  }
  const consumer = await js.consumers.get(EVENTS_STREAM, {
    filterSubjects: eventSubjects(node),
    ...(query.afterSeq !== undefined
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: query.afterSeq + 1 }
      : query.since !== undefined
        ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: query.since.toISOString() }
        : { deliver_policy: DeliverPolicy.New }),
  })
  const messages = await consumer.consume({ max_messages: 500 })
  const stop = (): void => void messages.close()
  const patience = past ? SILENCE_MS : Math.min(untilMs - Date.now() + GRACE_MS, MAX_TIMER_MS)
  const timer = query.until === undefined ? undefined : setTimeout(stop, patience)
  query.signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const message of messages) {
      if (query.signal.aborted) return
      // However long the reader takes: only silence ends a query of the past.
      if (past) timer?.refresh()
      const event = decode(message.data) as EventMessage
      // Nanoseconds since the epoch are not exact in a double: an event of the last millisecond must not seem later.
      if (Math.round(event.timeNano / 1e6) > untilMs) return
      yield { seq: message.seq, messageId: message.headers?.get('Nats-Msg-Id') ?? '', event }
      if (last !== undefined && (message.info.pending === 0 || message.seq >= last.last_seq)) return
    }
  } finally {
    clearTimeout(timer)
    query.signal.removeEventListener('abort', stop)
    await messages.close()
    await consumer.delete().catch(() => false)
  }
}
