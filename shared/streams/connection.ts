import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js'
import type { WireFrame } from './codec.ts'
import { Outbox } from './outbox.ts'
import { fromStatus, toStatus } from './status.ts'
import type { Frame, StreamConnection } from './types.ts'

type ClientCall = ClientDuplexStream<WireFrame, Frame>
type ServerCall = ServerDuplexStream<Frame, WireFrame>

/** Senders wait when that much waits to be written. */
const HIGH_WATER = 512 * 1024

const nothing = (): void => undefined

/** A gRPC duplex call as a StreamConnection. `fail` differs on the two sides. */
export class GrpcConnection implements StreamConnection {
  readonly frames: AsyncIterable<Frame>
  readonly #call: ClientCall | ServerCall
  readonly #side: 'client' | 'server'
  readonly #over = new AbortController()
  readonly #outbox = new Outbox()
  #writing = false
  /** All waiting senders wait for one promise. */
  #room: PromiseWithResolvers<void> | undefined
  /** Done, once, when all that was sent has left. */
  #last: (() => void) | undefined

  constructor(call: ClientCall | ServerCall, side: 'client' | 'server') {
    this.#call = call
    this.#side = side
    this.frames = read(call)
    const over = (): void => this.#ended()
    call.once('close', over)
    call.once('error', over)
    call.on('error', () => undefined)
    if (side === 'server') call.once('cancelled', over)
    else (call as ClientCall).once('status', over)
  }

  get closed(): AbortSignal {
    return this.#over.signal
  }

  async send(channel: number, data: Uint8Array): Promise<void> {
    if (this.#gone) return
    this.#outbox.push(channel, data)
    this.#flush()
    if (this.#outbox.bytes < HIGH_WATER) return
    this.#room ??= Promise.withResolvers()
    await this.#room.promise
  }

  async sendEof(channel: number): Promise<void> {
    if (this.#gone) return
    this.#outbox.pushEof(channel)
    this.#flush()
  }

  end(): void {
    this.#afterAll(() => this.#call.end())
  }

  fail(error: unknown): void {
    if (this.#side === 'server') this.#afterAll(() => this.#call.emit('error', toStatus(error)))
    else (this.#call as ClientCall).cancel()
  }

  get #gone(): boolean {
    return this.#over.signal.aborted || !this.#call.writable || this.#last !== undefined
  }

  /** One frame is on its way at a time; what comes meanwhile is gathered behind it. */
  #flush(): void {
    if (this.#writing) return
    const frame = this.#outbox.shift()
    if (!frame) {
      const last = this.#last
      if (last) this.#last = nothing
      last?.()
      return
    }
    this.#writing = true
    this.#call.write(frame, () => {
      this.#writing = false
      if (this.#outbox.bytes < HIGH_WATER) this.#release()
      this.#flush()
    })
  }

  #afterAll(last: () => void): void {
    this.#last ??= last
    this.#flush()
  }

  #release(): void {
    this.#room?.resolve()
    this.#room = undefined
  }

  #ended(): void {
    this.#outbox.clear()
    this.#writing = false
    this.#over.abort()
    this.#release()
  }
}

async function* read(call: ClientCall | ServerCall): AsyncGenerator<Frame> {
  try {
    // A reader that stops early must not tear down the other direction.
    for await (const frame of call.iterator({ destroyOnReturn: false })) yield frame as Frame
  } catch (error) {
    throw fromStatus(error)
  }
}
