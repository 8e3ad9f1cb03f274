import { randomInt } from 'node:crypto'
import type { Client, Upstream } from './client.ts'
import { idOf, makeRefusal, RCODE, rcodeOf, withId } from './messages.ts'
import { askTcp, askUdp, type Destination } from './upstream.ts'

const PORT = 53
/**
 * Questions under way for one sandbox. Docker's resolver, one for each sandbox too, allows 1,024; but here all sandboxes draw on the
 * open files of one process, one for each question. A hundred answered within 50 ms are 2,000 a second.
 */
const MAX_UNDERWAY = 100
/** A client asks again after five seconds (resolv.conf(5)); by then all servers should have been tried. */
const DEADLINE_MS = 4500
/** How long a server that did not answer is asked last. */
const AVOID_MS = 10_000

export type Transport = 'udp' | 'tcp'

/** Asks other DNS servers, with the client's own bytes, so that whatever it asks for and whatever they answer gets through. */
export class Forwarder {
  readonly #port: number
  readonly #deadline: number
  /** The host's servers that did not answer, and until when they are asked last. */
  readonly #silent = new Map<string, number>()

  constructor(options: { port?: number; deadlineMs?: number } = {}) {
    this.#port = options.port ?? PORT
    this.#deadline = options.deadlineMs ?? DEADLINE_MS
  }

  /**
   * The reply of the first server that gives a useful one, over the transport that the client used (a truncated reply goes to
   * the client, who then comes by TCP); when all only refuse or fail, the last such reply; undefined when none answers in time.
   * A client that has too many questions under way is refused: then it alone fails.
   */
  async ask(
    client: Client,
    query: Buffer,
    { servers, inside }: Upstream,
    transport: Transport,
    deadlineMs = DEADLINE_MS,
  ): Promise<Buffer | undefined> {
    if (client.underway >= MAX_UNDERWAY) return makeRefusal(query)
    client.underway++
    try {
      const silent = inside ? client.silent : this.#silent
      const patience = Math.floor(Math.min(deadlineMs, this.#deadline) / Math.max(1, servers.length))
      let last: Buffer | undefined
      for (const server of inOrder(servers, silent)) {
        const to = { server, port: this.#port, ...(inside ? { netns: client.netns } : {}) }
        const reply = await askOne(query, to, transport, patience)
        if (reply) silent.delete(server)
        else silent.set(server, Date.now() + AVOID_MS)
        if (!reply) continue
        last = reply
        if (rcodeOf(reply) !== RCODE.serverFailure && rcodeOf(reply) !== RCODE.refused) break
      }
      return last
    } finally {
      client.underway--
    }
  }
}

function inOrder(servers: readonly string[], silentUntil: ReadonlyMap<string, number>): string[] {
  const now = Date.now()
  const silent = (server: string): boolean => (silentUntil.get(server) ?? 0) > now
  return [...servers.filter((server) => !silent(server)), ...servers.filter(silent)]
}

async function askOne(
  query: Buffer,
  to: Destination,
  transport: Transport,
  patience: number,
): Promise<Buffer | undefined> {
  // A fresh port and id for each question: a stranger's forged reply must guess both.
  const question = withId(query, randomInt(0x10000))
  const reply = await (transport === 'udp' ? askUdp : askTcp)(question, to, patience)
  return reply && withId(reply, idOf(query))
}
