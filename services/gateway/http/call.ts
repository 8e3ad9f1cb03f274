import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { invalid } from '../../../shared/errors/index.ts'
import { readJson } from './body.ts'
import { decode } from './decode.ts'
import { Query } from './query.ts'

/** One API request, as handlers see it. */
export class Call {
  readonly raw: IncomingMessage
  readonly query: Query
  /** Minor number of the API version that was asked for. */
  readonly api: number
  readonly reply: FastifyReply
  /** True once a reply of open end (events, logs, attach) has begun: a stop of the gateway does not wait for it. */
  openEnded = false
  readonly #params: Readonly<Record<string, string | undefined>>
  #over: AbortController | undefined

  constructor(request: FastifyRequest, reply: FastifyReply, api: number) {
    this.raw = request.raw
    this.query = new Query(request.query as Record<string, string | string[]>)
    this.api = api
    this.reply = reply
    this.#params = request.params as Record<string, string>
  }

  /** Aborted when the reply is over or the client has gone. */
  get over(): AbortSignal {
    if (!this.#over) {
      const over = new AbortController()
      this.#over = over
      this.reply.raw.once('close', () => over.abort())
      if (this.reply.raw.closed) over.abort()
    }
    return this.#over.signal
  }

  /** A part of the path; leading slashes (`/name`, as inspect shows names) do not count. */
  param(name: string): string {
    return (this.#params[name] ?? '').replace(/^\/+/, '')
  }

  /** The JSON body, checked. */
  async body<T extends TSchema>(schema: T): Promise<Static<T>> {
    const value = await readJson(this.raw)
    if (value === undefined) throw invalid('invalid JSON: got EOF while reading request body')
    return decode(schema, value)
  }

  /** The same where the body may be left out. */
  async optionalBody<T extends TSchema>(schema: T): Promise<Static<T>> {
    return decode(schema, (await readJson(this.raw)) ?? {})
  }
}
