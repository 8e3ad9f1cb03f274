import { setTimeout as delay } from 'node:timers/promises'
import type { Json } from '../../../shared/contracts/index.ts'
import { invalid, toGantryError } from '../../../shared/errors/index.ts'
import { ok, STREAMED, type Handler } from '../http/route.ts'
import { startReply } from '../streams/reply.ts'
import { finish, write } from '../streams/write.ts'

const INTERVAL_MS = 1_000
const ZERO_TIME = '0001-01-01T00:00:00Z'
const ZERO_CPU = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
}

/** A sample in Docker's full form: with the CPU counters of the one before, from which clients compute percentages. */
const withPrevious = (sample: Json, previous: Json | undefined): Json => ({
  ...sample,
  preread: previous?.['read'] ?? ZERO_TIME,
  precpu_stats: previous?.['cpu_stats'] ?? ZERO_CPU,
})

/**
 * Samples once a second. Without `stream` one sample, taken a second after an unseen first one so that there is something to
 * compare with; with `one-shot` (API 1.41) the first one, at once.
 */
export const stats: Handler = async (call, { engine }) => {
  const { query, over } = call
  const stream = query.bool('stream', true)
  const oneShot = call.api >= 41 && query.bool('one-shot')
  if (stream && oneShot) throw invalid('cannot have stream=true and one-shot=true')
  let ref = call.param('id')
  const read = (): Promise<Json> => engine['container.stats']({ ref })
  let previous = await read()
  // The name may become another container's.
  ref = String(previous['id'])
  if (!stream) {
    if (oneShot) return ok(withPrevious(previous, undefined))
    if (isRunning(previous)) await delay(INTERVAL_MS)
    return ok(withPrevious(await read(), previous))
  }

  const sink = startReply(call, 'application/json')
  await write(sink, `${JSON.stringify(withPrevious(previous, undefined))}\n`)
  for (let next = Date.now(); ;) {
    next = Math.max(next + INTERVAL_MS, Date.now())
    await delay(next - Date.now(), undefined, { signal: over }).catch(() => undefined)
    if (over.aborted) break
    let sample: Json
    try {
      sample = await read()
    } catch (error) {
      // A container that was removed ends the stream; one whose engine restarts is asked again.
      if (toGantryError(error).kind !== 'unavailable') break
      continue
    }
    if (!(await write(sink, `${JSON.stringify(withPrevious(sample, previous))}\n`))) break
    previous = sample
  }
  finish(sink)
  return STREAMED
}

/** A stopped container has no counters, and waiting would not bring any. */
const isRunning = (sample: Json): boolean => sample['read'] !== ZERO_TIME
