import type { EventMessage } from '../../../shared/contracts/index.ts'
import { STREAMED, type Handler, type Route, route } from '../http/route.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { shape } from '../shape/replies.ts'
import { startReply } from '../streams/reply.ts'
import { finish, write } from '../streams/write.ts'
import { EVENT_FILTERS, eventMatcher } from './event-filter.ts'

const toDate = (seconds: number | undefined): Date | undefined =>
  seconds === undefined ? undefined : new Date(seconds * 1000)

/**
 * A past time of whole seconds (the CLI sends `--until 0s` so) takes in that second: an event of a moment ago must not be missing from
 * a list that ends now.
 */
const wholeSecond = (seconds: number | undefined): number | undefined => {
  if (seconds === undefined) return undefined
  const now = Date.now() / 1000
  return Number.isInteger(seconds) && seconds > 0 && seconds <= now ? Math.min(seconds + 1, now) : seconds
}

/** Docker's view of the event stream: from the past when `since` is given, live until `until` or the client's end. */
const events: Handler = async (call, backend) => {
  const { query, api, over } = call
  // An absent `since` is this moment: what happens between the reply's header and the subscription must not be lost.
  const since = query.time('since') ?? Date.now() / 1000
  const until = toDate(wholeSecond(query.time('until')))
  const matches = eventMatcher(query.filters(EVENT_FILTERS))
  if (until && until.getTime() < since * 1000) {
    throw invalid(`\`since\` time (${query.text('since')}) cannot be after \`until\` time (${query.text('until')})`)
  }
  const sink = startReply(call, 'application/json')
  const source = backend.events({ since: new Date(since * 1000), ...(until ? { until } : {}), signal: over })
  for await (const { event } of source) {
    if (event.timeNano / 1e9 < since || !matches(event)) continue
    if (!(await write(sink, `${JSON.stringify(shape('event', api, dockerForm(event)))}\n`))) break
  }
  finish(sink)
  return STREAMED
}

/** Without the members that are Gantry's own. */
const dockerForm = ({ Type, Action, Actor, scope, time, timeNano }: EventMessage): Record<string, unknown> => ({
  Type,
  Action,
  Actor,
  scope,
  time,
  timeNano,
})

/**
 * The event stream itself, with sequence numbers to resume from: `after` (a sequence number) or `since`, up to `until` (a
 * time, or `now` for what is there).
 */
const sequenced: Handler = async (call, backend) => {
  const { query, over } = call
  const after = query.int('after')
  const since = query.time('since') ?? (after === undefined ? Date.now() / 1000 : undefined)
  const until = query.text('until') === 'now' ? new Date() : toDate(query.time('until'))
  const matches = eventMatcher(query.filters(EVENT_FILTERS))
  const sink = startReply(call, 'application/x-ndjson')
  const from = after === undefined ? { since: toDate(since) ?? new Date() } : { afterSeq: after }
  for await (const { seq, event } of backend.events({ ...from, ...(until ? { until } : {}), signal: over })) {
    if (!matches(event)) continue
    if (!(await write(sink, `${JSON.stringify({ seq, ...event })}\n`))) break
  }
  finish(sink)
  return STREAMED
}

export const eventRoutes: readonly Route[] = [
  route('GET', '/events', 'events', events),
  route('GET', '/gantry/v1/events', 'sequenced events', sequenced),
]
