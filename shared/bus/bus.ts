import { headers, type JetStreamClient, type JetStreamManager, type NatsConnection } from 'nats'
import type { Client, Contract, FactName, FactOf, Handlers, StatsSample } from '../contracts/index.ts'
import { invalid } from '../errors/index.ts'
import { currentTrace, type Logger } from '../log/index.ts'
import { hearChanges } from './changes.ts'
import { clientOf, isTooLong } from './client.ts'
import { encode } from './codec.ts'
import { type BusOptions, connectNats } from './connect.ts'
import { type EventQuery, readEvents, type SequencedEvent } from './events.ts'
import { hearFacts } from './facts.ts'
import { Interruptions } from './interruption.ts'
import { afterReconnects } from './reconnect.ts'
import { serveContract } from './serve.ts'
import { encodeSample, hearStats } from './stats.ts'
import { ensureStreams } from './streams.ts'
import { changesSubject, factPrefix, JOB_HEADER, statsSubject } from './subjects.ts'

export interface Stoppable {
  stop(): Promise<void>
}

/** A service's connection to the bus. */
export interface Bus {
  readonly node: string
  /** Typed calls; failures are GantryErrors, `unavailable` when nobody answers. */
  client<C extends Contract>(contract: C): Client<C>
  /** Serves a contract; `stop` finishes what is under way. */
  serve<C extends Contract>(contract: C, handlers: Handlers<C>): Promise<Stoppable>
  /** Tells a fact; resolves when the stream has it. Telling it again with the same id within two minutes changes nothing. */
  tellFact<N extends FactName>(name: N, fact: FactOf<N>, id: string): Promise<void>
  /**
   * Hears all facts, in order, each until `handle` resolves. `lost` is called when the bus came back without its memory of them: some may
   * never come.
   */
  onFacts(
    durable: string,
    handle: (name: FactName, fact: unknown) => Promise<void>,
    lost?: () => void,
  ): Promise<Stoppable>
  events(query: EventQuery): AsyncIterable<SequencedEvent>
  /** Publishes an event's payload under its subject; resolves when the stream has it. For the outbox relay. */
  publishEvent(subject: string, payload: string, messageId: string): Promise<void>
  /** A sample for whoever listens (`gantry.<node>.stats.<id>`); it is not stored. */
  publishStats(id: string, sample: StatsSample): void
  /** Hears the samples of all containers, from now on. */
  onStats(handle: (sample: StatsSample) => void): Stoppable
  /** Tells that a service shows something else from now on; whatever it sends later arrives later. */
  tellChange(service: string): void
  /** Hears that a service shows something else, or may. */
  onChanges(service: string, told: () => void): Stoppable
  /** Ends the connection after all that was sent. */
  close(): Promise<void>
}

const PUBLISH_TIMEOUT_MS = 5_000

class NatsBus implements Bus {
  readonly node: string
  readonly #connection: NatsConnection
  readonly #interruptions: Interruptions
  readonly #js: JetStreamClient
  readonly #manager: JetStreamManager
  readonly #log: Logger
  readonly #hearing = new Set<{ restore(): Promise<void> }>()
  /** Services whose changes are told on this connection. */
  readonly #changing = new Set<string>()

  constructor(connection: NatsConnection, manager: JetStreamManager, node: string, log: Logger) {
    this.#connection = connection
    this.#interruptions = new Interruptions(connection)
    this.#js = connection.jetstream({ timeout: PUBLISH_TIMEOUT_MS })
    this.#manager = manager
    this.node = node
    this.#log = log
    void afterReconnects(connection, () => this.#restore(), log)
  }

  /** The server may have come back without its streams, or without who heard them; what was told meanwhile nobody has heard. */
  async #restore(): Promise<void> {
    for (const service of this.#changing) this.tellChange(service)
    await ensureStreams(this.#manager)
    for (const hearing of this.#hearing) await hearing.restore()
  }

  client<C extends Contract>(contract: C): Client<C> {
    return clientOf(this.#connection, this.#interruptions, this.node, contract)
  }

  serve<C extends Contract>(contract: C, handlers: Handlers<C>): Promise<Stoppable> {
    return serveContract(this.#connection, this.node, contract, handlers, this.#log)
  }

  async tellFact<N extends FactName>(name: N, fact: FactOf<N>, id: string): Promise<void> {
    await this.#publish(`${factPrefix(this.node)}${name}`, encode(fact), `${name}:${id}`)
  }

  async onFacts(
    durable: string,
    handle: (name: FactName, fact: unknown) => Promise<void>,
    lost: () => void = () => undefined,
  ): Promise<Stoppable> {
    const hearing = await hearFacts(this.#js, this.#manager, this.node, durable, handle, this.#log)
    this.#hearing.add({ restore: async () => void ((await hearing.restore()) && lost()) })
    return hearing
  }

  events(query: EventQuery): AsyncIterable<SequencedEvent> {
    return readEvents(this.#js, this.#manager, this.node, query)
  }

  async publishEvent(subject: string, payload: string, messageId: string): Promise<void> {
    await this.#publish(subject, Buffer.from(payload), messageId)
  }

  async #publish(subject: string, data: Uint8Array, msgID: string): Promise<void> {
    const job = currentTrace().job
    const h = job === undefined ? undefined : headers()
    if (job !== undefined) h?.set(JOB_HEADER, job)
    try {
      const options = { msgID, ...(h === undefined ? {} : { headers: h }) }
      await this.#interruptions.call(() => this.#js.publish(subject, data, options))
    } catch (error) {
      if (isTooLong(error)) throw invalid(`a message of ${data.length} bytes is too long for the bus`, { cause: error })
      throw error
    }
  }

  publishStats(id: string, sample: StatsSample): void {
    if (!this.#connection.isClosed()) this.#connection.publish(statsSubject(this.node, id), encodeSample(sample))
  }

  onStats(handle: (sample: StatsSample) => void): Stoppable {
    return hearStats(this.#connection, this.node, handle, this.#log)
  }

  tellChange(service: string): void {
    this.#changing.add(service)
    if (!this.#connection.isClosed()) this.#connection.publish(changesSubject(this.node, service))
  }

  onChanges(service: string, told: () => void): Stoppable {
    return hearChanges(this.#connection, this.node, service, told)
  }

  async close(): Promise<void> {
    await this.#connection.drain().catch(() => this.#connection.close())
  }
}

/** Connects to the bus and makes sure of its streams. */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const connection = await connectNats(options)
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: PUBLISH_TIMEOUT_MS })
  await ensureStreams(manager)
  return new NatsBus(connection, manager, options.node, options.log)
}
