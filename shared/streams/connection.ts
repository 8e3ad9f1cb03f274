import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js'
import { fromWire, toWire, type WireError } from '../errors/index.ts'
import type { ReceivedFrame, WireFrame } from './codec.ts'
import { Outbox } from './outbox.ts'
import { broken, fromStatus, toStatus } from './status.ts'
import type { Frame, StreamConnection } from './types.ts'

type ClientCall = ClientDuplexStream<WireFrame, ReceivedFrame>
type ServerCall = ServerDuplexStream<ReceivedFrame, WireFrame>

/** Senders wait when that much waits to be written. */
const HIGH_WATER = 512 * 1024

const nothing = (): void => undefined

/** A gRPC duplex call as a StreamConnection; streams.proto says how it ends. */
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
  /** Why the call broke: it may have before anybody read from it. */
  #error: unknown

  constructor(call: ClientCall | ServerCall, side: 'client' | 'server') {
    this.#call = call
    this.#side = side
    this.frames = side === 'server' ? read(call) : this.#readToEnd()
    const over = (): void => this.#ended()
    call.once('close', over)
    call.once('error', over)
    call.on('error', (error) => (this.#error ??= error))
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
    this.#finish('', () => this.#call.end())
  }

  fail(error: unknown): void {
    if (this.#side === 'client') (this.#call as ClientCall).cancel()
    else this.#finish(JSON.stringify(toWire(error)), () => this.#call.emit('error', toStatus(error)))
  }

  /** The server's last frame; when the client has seen that, `close` closes the call. */
  #finish(end: string, close: () => void): void {
    this.#afterAll(() => {
      if (this.#over.signal.aborted) return
      this.#call.write({ channel: 0, parts: [], eof: false, end })
      if (this.#call.readableEnded) close()
      else this.#call.once('end', close)
      drain(this.#call)
    })
  }

  async *#readToEnd(): AsyncGenerator<Frame> {
    for await (const frame of read(this.#call)) {
      if (frame.end === undefined) {
        yield frame
        continue
      }
      this.#afterAll(() => this.#call.end())
      // Up to gRPC's own end.
      drain(this.#call)
      if (frame.end !== '') throw fromWire(JSON.parse(frame.end) as WireError)
      return
    }
    throw this.#error === undefined ? broken('it has no end') : fromStatus(this.#error)
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

async function* read(call: ClientCall | ServerCall): AsyncGenerator<ReceivedFrame> {
  try {
    // A reader that stops early must not tear down the other direction.
    for await (const frame of call.iterator({ destroyOnReturn: false })) yield frame as ReceivedFrame
  } catch (error) {
    throw fromStatus(error)
  }
}

/** What still comes is dropped, but for what somebody who reads it takes. */
function drain(call: ClientCall | ServerCall): void {
  call.on('data', nothing)
}
