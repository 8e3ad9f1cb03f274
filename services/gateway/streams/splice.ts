import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Received } from '../../../shared/contracts/index.ts'
import { cancelled, isKind } from '../../../shared/errors/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import { write, writeFrame, type Sink } from './write.ts'

export interface SpliceOptions {
  /** Docker's framing of stdout and stderr; without it (terminals) the bytes go as they are. */
  readonly multiplexed: boolean
  /** Whether the client's bytes are wanted; otherwise they are read and dropped. */
  readonly stdin: boolean
  /** Milliseconds to hold the first output back, so that it does not share a packet with the reply's header. */
  readonly holdMs?: number
  /** Where the rest comes from when the stream breaks, given how many bytes of each channel the client has. */
  readonly again?: (has: Received) => Promise<StreamConnection>
}

/** A service that dies again and again while it is attached to must not keep the client for ever. */
const MOST_FRUITLESS = 20
const PAUSE_MS = 100

/**
 * Connects a client with a container's stdio until the output ends. The end of `source` (the client shut down its writing
 * side) is the end of stdin; output goes on. When the client is gone altogether the stream is cancelled.
 * @throws what the stream ended with
 */
export async function splice(
  source: Readable,
  sink: Sink,
  connection: StreamConnection,
  options: SpliceOptions,
): Promise<void> {
  const ends = new Ends(source, sink, connection, options)
  const leave = (): void => ends.leave()
  sink.once('close', leave)
  if (sink.destroyed) leave()
  try {
    if (options.holdMs !== undefined) await delay(options.holdMs)
    await ends.run()
  } finally {
    sink.off('close', leave)
  }
}

/** A client and the stream that it is connected with now. */
class Ends {
  readonly #source: Readable
  readonly #sink: Sink
  readonly #options: SpliceOptions
  readonly #sent = new Map<number, number>()
  #connection: StreamConnection
  #inputEnded = false

  constructor(source: Readable, sink: Sink, connection: StreamConnection, options: SpliceOptions) {
    this.#source = source
    this.#sink = sink
    this.#connection = connection
    this.#options = options
    void this.#pumpIn()
  }

  leave(): void {
    this.#connection.fail(cancelled('the client went away'))
  }

  async run(): Promise<void> {
    for (let fruitless = 0; ; fruitless++) {
      const before = this.#total()
      try {
        if (!(await this.#pumpOut())) this.leave()
        return
      } catch (error) {
        if (this.#sink.destroyed) return
        if (this.#total() > before) fruitless = 0
        if (!isBroken(error) || !this.#options.again || fruitless >= MOST_FRUITLESS) throw error
        await delay(PAUSE_MS)
      }
      await this.#reconnect(this.#options.again)
    }
  }

  #total(): number {
    return [...this.#sent.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  async #reconnect(again: NonNullable<SpliceOptions['again']>): Promise<void> {
    const has = { stdout: this.#sent.get(CHANNEL.stdout) ?? 0, stderr: this.#sent.get(CHANNEL.stderr) ?? 0 }
    this.#connection = await again(has)
    if (this.#sink.destroyed) this.leave()
    else if (this.#inputEnded) await this.#connection.sendEof(CHANNEL.stdin)
  }

  /** False when the client has gone before the output ended. */
  async #pumpOut(): Promise<boolean> {
    const { multiplexed } = this.#options
    for await (const { channel, data } of this.#connection.frames) {
      if (data.length === 0) continue
      this.#sent.set(channel, (this.#sent.get(channel) ?? 0) + data.length)
      const open = multiplexed ? await writeFrame(this.#sink, channel, data) : await write(this.#sink, data)
      if (!open) return false
    }
    return true
  }

  /** Never rejects: a client that breaks off is seen by its socket's `close`. What it writes while there is no stream is lost. */
  async #pumpIn(): Promise<void> {
    const { stdin } = this.#options
    try {
      for await (const chunk of this.#source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        // After the output's end what still comes is read and dropped: closing with unread bytes would reset the client.
        if (stdin && !this.#connection.closed.aborted) await this.#connection.send(CHANNEL.stdin, chunk)
      }
      this.#inputEnded = stdin
      if (stdin) await this.#connection.sendEof(CHANNEL.stdin)
    } catch {
      // The source broke.
    }
  }
}

/** The service that had the stream is gone, or was when the stream was to be opened (its successor knows no ticket of it). */
const isBroken = (error: unknown): boolean =>
  isKind(error, 'unavailable') || isKind(error, 'cancelled') || isKind(error, 'not-found')
