import { setHeaders } from '../http/headers.ts'
import { ok, route, STREAMED, type Handler, type Route } from '../http/route.ts'
import { shape } from '../shape/replies.ts'
import { assembleInfo } from './info.ts'
import { healthOfAll } from './services.ts'
import { assembleVersion } from './version.ts'

/** Asked by every client before its first request; it must not wait for any service. */
const ping: Handler = async ({ reply }) => {
  reply.hijack()
  setHeaders(reply.raw, [
    ['Cache-Control', 'no-cache, no-store, must-revalidate'],
    ['Pragma', 'no-cache'],
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Length', '2'],
  ])
  reply.raw.end('OK')
  return STREAMED
}

const info: Handler = async ({ api }, backend) => ok(shape('info', api, await assembleInfo(backend)))

const version: Handler = async (_call, backend) => ok(await assembleVersion(backend))

const services: Handler = async (_call, backend) => ok((await healthOfAll(backend)).health)

const MOST_JOBS = 1000

/** The engine's latest jobs with their steps, newest last. */
const jobs: Handler = async ({ query }, { engine }) => {
  const last = Math.min(Math.max(query.int('last') ?? 100, 1), MOST_JOBS)
  return ok(await engine['job.list']({ last }))
}

export const system: readonly Route[] = [
  route('GET', '/_ping', 'ping', ping),
  route('HEAD', '/_ping', 'ping', ping),
  route('GET', '/version', 'version', version),
  route('GET', '/info', 'info', info),
  route('GET', '/gantry/v1/jobs', 'job list', jobs),
  route('GET', '/gantry/v1/services', 'service list', services),
]
