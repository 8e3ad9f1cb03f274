import type { IncomingMessage, ServerResponse } from 'node:http'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { newTraceparent } from '../../shared/bus/index.ts'
import { type Logger, withTrace } from '../../shared/log/index.ts'
import { VERSION } from '../../shared/service/version.ts'
import type { Backend } from './backend.ts'
import { Call } from './http/call.ts'
import { errorReply } from './http/error-reply.ts'
import { commonHeaders, setHeaders } from './http/headers.ts'
import { STREAMED, type Route } from './http/route.ts'
import { stripVersion, versionOf } from './http/version.ts'
import { checkOrigin } from './listen/guard.ts'
import { routes } from './routes/index.ts'

export interface Api {
  /** `guarded`: the request came over TCP, where a browser could have sent it. */
  handle(request: IncomingMessage, response: ServerResponse, guarded: boolean): void
  /** Resolves when no request with an end of its own is under way. */
  idle(): Promise<void>
}

/** Image names and filters may be long; they are parts of the path. */
const MAX_PARAM_LENGTH = 4096

const noSchemas = (): never => {
  throw new Error('routes here have no framework schemas: bodies are read by http/decode.ts')
}

/** The Docker Engine API on a backend; it listens nowhere by itself. */
export async function createApi(backend: Backend, log: Logger): Promise<Api> {
  const underWay = new Underway()
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: (request) => stripVersion(request.url ?? '/'),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // No route has a framework schema: the schema compilers (2 MB) are not loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    // A request whose URL cannot be decoded never reaches a route.
    frameworkErrors: (error, request, reply) => {
      setHeaders(reply.raw, headers)
      sendError(error, request, reply, log)
    },
  }) as FastifyInstance
  const headers = commonHeaders(VERSION)

  // Handlers read bodies themselves: JSON with its own limit and words, archives as streams.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))

  const guardedRequests = new WeakSet<IncomingMessage>()
  app.addHook('onRequest', async (request, reply) => {
    setHeaders(reply.raw, headers)
    if (guardedRequests.has(request.raw)) checkOrigin(request.raw)
  })
  app.setNotFoundHandler((request, reply) => {
    // An impossible version is told before a page that is missing.
    versionOf(request.originalUrl)
    return send(reply, 404, toText({ message: 'page not found' }))
  })
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log))
  for (const line of routes) register(app, line, backend, underWay, log)
  await app.ready()
  return {
    handle(request, response, guarded) {
      if (guarded) guardedRequests.add(request)
      app.routing(request, response)
    },
    idle: () => underWay.idle(),
  }
}

function register(app: FastifyInstance, line: Route, backend: Backend, underWay: Underway, log: Logger): void {
  app.route({
    method: line.method,
    url: line.path,
    handler: async (request, reply) => {
      const call = new Call(request, reply, versionOf(request.originalUrl))
      const traceparent = (request.headers['traceparent'] as string | undefined) ?? newTraceparent()
      const done = underWay.add(call)
      try {
        const answer = await withTrace({ traceparent }, () => line.handle(call, backend))
        return answer === STREAMED ? reply : send(reply, answer.status, answer.text ?? toText(answer.body))
      } catch (error) {
        if (!call.openEnded) throw error
        // The header is out: only the end of the connection can still say that something is wrong.
        log.error({ err: error, route: line.name }, 'a reply broke off')
        call.raw.socket.destroy()
        return reply
      } finally {
        done()
      }
    },
  })
}

const toText = (body: unknown): string => (body === undefined ? '' : `${JSON.stringify(body)}\n`)

/** Written past the framework: the docker CLI reads errors only from exactly `application/json`, without a charset. */
function send(reply: FastifyReply, status: number, text = ''): FastifyReply {
  reply.hijack()
  if (text !== '') reply.raw.setHeader('Content-Type', 'application/json')
  if (status !== 204 && status !== 304) reply.raw.setHeader('Content-Length', Buffer.byteLength(text))
  reply.raw.writeHead(status)
  reply.raw.end(text)
  return reply
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const { status, message } = errorReply(error)
  const level = status >= 500 && status !== 501 && status !== 503 ? 'error' : 'debug'
  log[level]({ method: request.method, url: request.originalUrl, status, err: error }, 'request failed')
  send(reply, status, message === undefined ? '' : toText({ message }))
}

/** Requests that are being worked on. */
class Underway {
  readonly #calls = new Set<Call>()
  #waiting: Array<() => void> = []

  add(call: Call): () => void {
    this.#calls.add(call)
    return () => {
      this.#calls.delete(call)
      this.#check()
    }
  }

  async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      this.#check()
    })
  }

  #check(): void {
    if ([...this.#calls].some((call) => !call.openEnded)) return
    for (const resolve of this.#waiting) resolve()
    this.#waiting = []
  }
}
