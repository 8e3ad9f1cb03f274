import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import {
  cgroupContract,
  engineContract,
  execContract,
  networkContract,
  storageContract,
  type CgroupContract,
  type Contract,
  type EngineContract,
  type EventMessage,
  type ExecContract,
  type Handlers,
  type NetworkContract,
  type StorageContract,
  type StreamRef,
} from '../../shared/contracts/index.ts'
import { internal } from '../../shared/errors/index.ts'
import type { StreamConnection } from '../../shared/streams/index.ts'
import type { Backend } from '../../services/gateway/backend.ts'
import { resilient, type Patience } from '../../services/gateway/calls/resilient.ts'
import { startGateway, type Gateway } from '../../services/gateway/gateway.ts'
import { memoryStream } from './memory-stream.ts'

/** Verbs of a service that a test answers itself; any other call fails the request with a message that names it. */
type Fake<H> = {
  [K in keyof H]?: H[K] extends (request: infer R, ...rest: never[]) => infer A ? (request: R) => A : never
}

export interface Fakes {
  engine?: Fake<Handlers<EngineContract>>
  storage?: Fake<Handlers<StorageContract>>
  network?: Fake<Handlers<NetworkContract>>
  cgroup?: Fake<Handlers<CgroupContract>>
  exec?: Fake<Handlers<ExecContract>>
  events?: Backend['events']
  onStats?: Backend['onStats']
}

export interface Response {
  status: number
  headers: IncomingHttpHeaders
  text: string
  json: unknown
}

type Serve = (connection: StreamConnection) => Promise<void>

/** A gateway on a socket of its own, on top of fakes. */
export class TestGateway {
  readonly socket: string
  readonly #gateway: Gateway
  readonly #offers: Map<string, Serve>
  readonly #dir: string

  constructor(dir: string, gateway: Gateway, offers: Map<string, Serve>) {
    this.#dir = dir
    this.socket = join(dir, 'docker.sock')
    this.#gateway = gateway
    this.#offers = offers
  }

  get addresses(): readonly string[] {
    return this.#gateway.addresses
  }

  /** What a verb's reply holds for a stream; `serve` runs when the gateway opens it. */
  offer(serve: Serve): StreamRef {
    const ticket = String(this.#offers.size + 1)
    this.#offers.set(ticket, serve)
    return { address: 'memory:', ticket }
  }

  send(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Response> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const headers = {
        ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}),
        ...options.headers,
      }
      const sent = request({ socketPath: this.socket, method, path, agent: false, ...options, headers }, (reply) => {
        const chunks: Buffer[] = []
        reply.on('data', (chunk: Buffer) => chunks.push(chunk))
        reply.on('error', reject)
        reply.on('end', () => {
          const all = Buffer.concat(chunks).toString()
          resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text: all, json: parse(all) })
        })
      })
      sent.on('error', reject)
      sent.end(text)
    })
  }

  async stop(): Promise<void> {
    await this.#gateway.stop()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Short, so that a test of a service that is away does not take long. */
const HASTE: Patience = { awayMs: 300, firstPauseMs: 5, longestPauseMs: 20, watchMs: 50 }

export async function startTestGateway(fakes: Fakes, options: { hosts?: string[] } = {}): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'gantry-api-'))
  const offers = new Map<string, Serve>()
  const backend = {
    engine: resilient(clientOf(engineContract, fakes.engine), HASTE),
    storage: resilient(clientOf(storageContract, fakes.storage), HASTE),
    network: resilient(clientOf(networkContract, fakes.network), HASTE),
    cgroup: resilient(clientOf(cgroupContract, fakes.cgroup), HASTE),
    exec: resilient(clientOf(execContract, fakes.exec), HASTE),
    events: fakes.events ?? noEvents,
    onStats: fakes.onStats ?? noStats,
    open: (ref: StreamRef) => {
      const { client, server } = memoryStream()
      const serve = offers.get(ref.ticket)
      assert(serve, 'a stream that was not offered')
      serve(server).then(
        () => server.end(),
        (error: unknown) => server.fail(error),
      )
      return client
    },
  } as unknown as Backend
  const config = { socket: join(dir, 'docker.sock'), ...(options.hosts ? { hosts: options.hosts } : {}) }
  const gateway = await startGateway({ backend, config, log: pino({ level: process.env['LOG'] ?? 'silent' }) })
  return new TestGateway(dir, gateway, offers)
}

// eslint-disable-next-line require-yield
async function* noEvents(): AsyncGenerator<{ seq: number; messageId: string; event: EventMessage }> {
  throw internal('this test has no events')
}

const noStats = (): never => {
  throw internal('this test has no samples')
}

type AnyVerb = (request: unknown) => Promise<unknown>

/** A client that has every verb: the fakes', and failures that name what was called. */
const clientOf = ({ service, verbs }: Contract, fake: object | undefined): never =>
  Object.fromEntries(
    Object.keys(verbs).map((verb): [string, AnyVerb] => [
      verb,
      async (request) => {
        const answer = (fake as Record<string, AnyVerb> | undefined)?.[verb]
        if (!answer) throw internal(`the test did not expect ${service} ${verb}`)
        return answer(request)
      },
    ]),
  ) as never
