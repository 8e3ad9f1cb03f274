import { randomInt } from 'node:crypto'
import type { Client } from './client.ts'
import { addressRecord, makeReply, parseQuery, pointerRecord, RCODE, reverseAddress, type Query } from './messages.ts'
import type { Forwarder, Transport } from './forwarder.ts'
import type { NameSource } from './types.ts'

/** How long others may take to answer for a name without dots. */
const SHORT_NAME_MS = 2000

/** Answers questions: the names of a sandbox's networks itself, all others by asking the host's servers. */
export class Resolver {
  readonly #names: NameSource
  readonly #forwarder: Forwarder
  readonly #servers: () => readonly string[]

  constructor(options: { names: NameSource; forwarder: Forwarder; servers: () => readonly string[] }) {
    this.#names = options.names
    this.#forwarder = options.forwarder
    this.#servers = options.servers
  }

  /**
   * The reply to a message from a sandbox: at once when the answer is known here, else a promise; undefined when it is not to be
   * answered.
   */
  resolve(client: Client, message: Buffer, transport: Transport): Buffer | undefined | Promise<Buffer> {
    const parsed = parseQuery(message)
    if (!parsed) return undefined
    if ('reply' in parsed) return parsed.reply
    const { query } = parsed
    return this.#answer(client.sandbox, query, transport) ?? this.#forward(client, query, message, transport)
  }

  #answer(sandboxId: string, query: Query, transport: Transport): Buffer | undefined {
    const { question, name } = query
    if (question.class !== 'IN' && question.class !== 'ANY') return undefined
    if (question.type === 'PTR') {
      const address = reverseAddress(name)
      const target = address === undefined ? undefined : this.#names.reverse(sandboxId, address)
      if (target === undefined) return undefined
      return makeReply(query, RCODE.noError, [pointerRecord(question.name, target)], transport)
    }
    const found = this.#names.lookup(sandboxId, name)
    if (!found) return undefined
    // A name that is known here has no other records anywhere else: an empty answer, not a question to others.
    const type: string = question.type
    const v4 = type === 'A' || type === 'ANY' ? found.v4 : []
    const v6 = type === 'AAAA' || type === 'ANY' ? found.v6 : []
    const records = [
      ...rotated(v4).map((address) => addressRecord('A', question.name, address)),
      ...rotated(v6).map((address) => addressRecord('AAAA', question.name, address)),
    ]
    return makeReply(query, RCODE.noError, records, transport)
  }

  async #forward(client: Client, query: Query, message: Buffer, transport: Transport): Promise<Buffer> {
    const own = this.#names.forwarders(client.sandbox)
    const upstream = { servers: own ?? this.#servers(), inside: own !== undefined }
    // A name without dots was most likely meant to be a container's: not worth a long wait, and when nobody knows better there is
    // no such name.
    const short = !query.name.includes('.')
    const patience = short ? SHORT_NAME_MS : undefined
    const reply =
      upstream.servers.length === 0
        ? undefined
        : await this.#forwarder.ask(client, message, upstream, transport, patience)
    return reply ?? makeReply(query, short ? RCODE.nameError : RCODE.serverFailure, [], transport)
  }
}

/** The addresses of a shared name, beginning with any of them: clients take the first. */
function rotated(addresses: readonly string[]): readonly string[] {
  if (addresses.length < 2) return addresses
  const start = randomInt(addresses.length)
  return [...addresses.slice(start), ...addresses.slice(0, start)]
}
