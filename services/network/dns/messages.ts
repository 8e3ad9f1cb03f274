import dnsPacket, { type Answer, type DecodedPacket, type OptAnswer, type Question } from 'dns-packet'
import { addressText } from '../../../shared/kernel/inet.ts'

/** DNS messages, RFC 1035: what of a query matters to the server, and replies made by it. Pure. */

/** RFC 1035 4.1.1, low bits of the flags. */
export const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const
export type Rcode = (typeof RCODE)[keyof typeof RCODE]

const HEADER = 12
const RESPONSE_BIT = 0x80
/** Without EDNS a UDP reply has at most that (RFC 1035 4.2.1); with it we send no more than passes without fragments. */
const PLAIN_UDP = 512
const LARGEST_UDP = 1232
/** Seconds that an answer may be kept: containers come and go. */
const TTL = 10

/** A query for which there is an answer to be found. */
export interface Query {
  readonly packet: DecodedPacket
  readonly question: Question
  /** Lower case, no trailing dot. */
  readonly name: string
  /** The client's EDNS record (RFC 6891), when it sent one. */
  readonly edns: OptAnswer | undefined
}

/** `reply`: the message is bad in a way that is to be told to the client. `undefined`: nothing to answer to. */
export type Parsed = { readonly query: Query } | { readonly reply: Buffer } | undefined

/** Understands a query; never throws, whatever the bytes are. */
export function parseQuery(message: Buffer): Parsed {
  // A reply must never be replied to: two servers would keep each other busy.
  if (message.length < HEADER || ((message[2] ?? 0) & RESPONSE_BIT) !== 0) return undefined
  if (((message[2] ?? 0) & 0x78) !== 0) return { reply: bareReply(message, RCODE.notImplemented) }
  if (message.readUInt16BE(4) !== 1) return { reply: bareReply(message, RCODE.formatError) }
  let packet: DecodedPacket
  try {
    packet = dnsPacket.decode(message)
  } catch {
    return { reply: bareReply(message, RCODE.formatError) }
  }
  const question = packet.questions?.[0]
  if (!question) return { reply: bareReply(message, RCODE.formatError) }
  const edns = packet.additionals?.find((record): record is OptAnswer => record.type === 'OPT')
  return { query: { packet, question, name: question.name.toLowerCase(), edns } }
}

/** Header only: for queries that are not understood, or not dealt with. */
function bareReply(message: Buffer, rcode: Rcode): Buffer {
  const reply = Buffer.alloc(HEADER)
  message.copy(reply, 0, 0, 4)
  reply[2] = ((reply[2] ?? 0) & 0x79) | RESPONSE_BIT
  reply[3] = 0x80 | rcode
  return reply
}

/** The reply to a query that nobody is asked about. */
export const makeRefusal = (query: Buffer): Buffer => bareReply(query, RCODE.refused)

/** A reply to a query; over UDP it is cut to what the client can take, and says so. */
export function makeReply(query: Query, rcode: Rcode, answers: readonly Answer[], transport: 'udp' | 'tcp'): Buffer {
  const { packet, question, edns } = query
  const encode = (some: readonly Answer[], more: number): Buffer =>
    dnsPacket.encode({
      type: 'response',
      ...(packet.id === undefined ? {} : { id: packet.id }),
      flags: ((packet.flags ?? 0) & dnsPacket.RECURSION_DESIRED) | dnsPacket.RECURSION_AVAILABLE | more | rcode,
      questions: [question],
      answers: [...some],
      additionals: edns ? [OUR_EDNS] : [],
    })
  const reply = encode(answers, 0)
  if (transport === 'tcp') return reply
  const limit = edns ? Math.min(Math.max(edns.udpPayloadSize, PLAIN_UDP), LARGEST_UDP) : PLAIN_UDP
  if (reply.length <= limit || answers.length === 0) return reply
  const each = (reply.length - encode([], 0).length) / answers.length
  const fitting = Math.max(0, answers.length - Math.ceil((reply.length - limit) / each))
  return encode(answers.slice(0, fitting), dnsPacket.TRUNCATED_RESPONSE)
}

const OUR_EDNS: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: LARGEST_UDP,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

export const addressRecord = (type: 'A' | 'AAAA', name: string, data: string): Answer => ({
  type,
  name,
  class: 'IN',
  ttl: TTL,
  data,
})

export const pointerRecord = (name: string, data: string): Answer => ({
  type: 'PTR',
  name,
  class: 'IN',
  ttl: TTL,
  data,
})

/** The address that a reverse name asks for (RFC 1035 3.5, RFC 3596 2.5); undefined when it is no whole address. */
export function reverseAddress(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  if (v4) {
    const bytes = v4.slice(1).reverse().map(Number)
    return bytes.every((byte) => byte < 256) ? bytes.join('.') : undefined
  }
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1]
  return v6 ? addressText(Buffer.from(v6.replaceAll('.', '').split('').reverse().join(''), 'hex')) : undefined
}

export const idOf = (message: Buffer): number => message.readUInt16BE(0)

/** The same message with another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message)
  copy.writeUInt16BE(id, 0)
  return copy
}

/** The rcode of a reply, without looking further. */
export const rcodeOf = (message: Buffer): number => (message[3] ?? 0) & 0x0f

/** Whether a message is a reply of that id to that query: the question must be the same, letter by letter. */
export function isReplyTo(reply: Buffer, query: Buffer, id: number): boolean {
  if (reply.length < HEADER || ((reply[2] ?? 0) & RESPONSE_BIT) === 0 || idOf(reply) !== id) return false
  // Some servers leave the question out of refusals.
  if (reply.readUInt16BE(4) === 0) return rcodeOf(reply) !== RCODE.noError
  const end = questionEnd(query)
  return reply.subarray(HEADER, end).equals(query.subarray(HEADER, end))
}

/** Where the (only, uncompressed) question of a query ends. */
function questionEnd(query: Buffer): number {
  let at = HEADER
  while (at < query.length && query[at] !== 0) at += (query[at] ?? 0) + 1
  return Math.min(at + 5, query.length)
}
