import { createSocket } from 'node:dgram'
import { randomInt } from 'node:crypto'
import { connect, isIPv6 } from 'node:net'
import { Deframer, frame } from './frames.ts'
import { idOf, isReplyTo, RCODE, rcodeOf, withId } from './messages.ts'

const PORT = 53
/** As many questions under way as Docker's resolver allows. */
const MAX_UNDERWAY = 1024
/** A client asks again after five seconds (resolv.conf(5)); by then all servers should have been tried. */
const DEADLINE_MS = 4500
/** How long a server that did not answer is asked last. */
const AVOID_MS = 10_000

export type Transport = 'udp' | 'tcp'

/** Asks other DNS servers, with the client's own bytes, so that whatever it asks for and whatever they answer gets through. */
export class Forwarder {
  readonly #port: number
  readonly #deadline: number
  readonly #silent = new Map<string, number>()
  #underway = 0

  constructor(options: { port?: number; deadlineMs?: number } = {}) {
    this.#port = options.port ?? PORT
    this.#deadline = options.deadlineMs ?? DEADLINE_MS
  }

  /**
   * The reply of the first server that gives a useful one, over the transport that the client used (a truncated reply goes to
   * the client, who then comes by TCP); when all only refuse or fail, the last such reply; undefined when none answers in time.
   */
  async ask(
    query: Buffer,
    servers: readonly string[],
    transport: Transport,
    deadlineMs = DEADLINE_MS,
  ): Promise<Buffer | undefined> {
    if (this.#underway >= MAX_UNDERWAY) return undefined
    this.#underway++
    try {
      const patience = Math.floor(Math.min(deadlineMs, this.#deadline) / Math.max(1, servers.length))
      let last: Buffer | undefined
      for (const server of this.#inOrder(servers)) {
        const reply = await this.#askOne(query, server, transport, patience)
        if (!reply) continue
        last = reply
        if (rcodeOf(reply) !== RCODE.serverFailure && rcodeOf(reply) !== RCODE.refused) break
      }
      return last
    } finally {
      this.#underway--
    }
  }

  #inOrder(servers: readonly string[]): string[] {
    const now = Date.now()
    const silent = (server: string): boolean => (this.#silent.get(server) ?? 0) > now
    return [...servers.filter((server) => !silent(server)), ...servers.filter(silent)]
  }

  async #askOne(query: Buffer, server: string, transport: Transport, patience: number): Promise<Buffer | undefined> {
    // A fresh port and id for each question: a stranger's forged reply must guess both.
    const id = randomInt(0x10000)
    const question = withId(query, id)
    const ask = transport === 'udp' ? askUdp : askTcp
    const reply = await ask(question, server, this.#port, patience)
    if (reply) this.#silent.delete(server)
    else this.#silent.set(server, Date.now() + AVOID_MS)
    return reply && withId(reply, idOf(query))
  }
}

/** A reply over UDP, or undefined when there is none in time. */
function askUdp(question: Buffer, server: string, port: number, patience: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.split('%')[0] ?? '') ? 'udp6' : 'udp4')
    const finish = (reply?: Buffer): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.close()
      resolve(reply)
    }
    const timer = setTimeout(finish, patience)
    socket.on('error', () => finish())
    socket.on('message', (reply) => {
      if (isReplyTo(reply, question, idOf(question))) finish(reply)
    })
    // Connected, so that only this server is heard, and a refusal (ICMP) is an error at once.
    // Without a route to it, the callback gets an error (which @types/node does not know).
    socket.connect(port, server, (...failure: unknown[]) => {
      if (failure[0] === undefined || failure[0] === null) socket.send(question)
      else finish()
    })
  })
}

/** A reply over TCP, or undefined when there is none in time. */
function askTcp(question: Buffer, server: string, port: number, patience: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, server)
    const frames = new Deframer()
    const finish = (reply?: Buffer): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.destroy()
      resolve(reply)
    }
    const timer = setTimeout(finish, patience)
    socket.on('error', () => finish())
    socket.on('close', () => finish())
    socket.on('connect', () => socket.write(frame(question)))
    socket.on('data', (piece) => {
      const reply = frames.push(piece).find((message) => isReplyTo(message, question, idOf(question)))
      if (reply) finish(reply)
    })
  })
}
