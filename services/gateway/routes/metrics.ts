import type { Backend } from '../backend.ts'
import { setHeaders } from '../http/headers.ts'
import { route, STREAMED, type Handler, type Route } from '../http/route.ts'
import { Samples } from '../metrics/samples.ts'

const samplesOf = new WeakMap<Backend, Samples>()

/** For Prometheus. What makes the text is loaded by the first scrape: an engine that nobody watches does not carry it. */
const scrape: Handler = async ({ reply }, backend) => {
  const samples = samplesOf.get(backend) ?? new Samples(backend.onStats)
  samplesOf.set(backend, samples)
  const [{ takeSnapshot }, { expose }] = await Promise.all([
    import('../metrics/snapshot.ts'),
    import('../metrics/exposition.ts'),
  ])
  const { mediaType, text } = await expose(await takeSnapshot(backend, samples))
  reply.hijack()
  setHeaders(reply.raw, [
    ['Content-Type', mediaType],
    ['Content-Length', String(Buffer.byteLength(text))],
  ])
  reply.raw.end(text)
  return STREAMED
}

export const metrics: readonly Route[] = [route('GET', '/metrics', 'metrics', scrape)]
