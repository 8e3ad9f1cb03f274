import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js'
import { EMPTY, MAX_FRAME, type WireFrame } from './definition.ts'
import { fromStatus, toStatus } from './status.ts'
import type { Frame, StreamConnection } from './types.ts'

type Call = ClientDuplexStream<WireFrame, WireFrame> | ServerDuplexStream<WireFrame, WireFrame>

/** A gRPC duplex call as a StreamConnection. `fail` differs on the two sides. */
export class GrpcConnection implements StreamConnection {
  readonly frames: AsyncIterable<Frame>
  readonly #call: Call
  readonly #side: 'client' | 'server'
  readonly #over = new AbortController()
  #drained: Promise<void> | undefined

  constructor(call: Call, side: 'client' | 'server') {
    this.#call = call
    this.#side = side
    this.frames = read(call)
    const over = (): void => this.#over.abort()
    call.once('close', over)
    call.once('error', over)
    call.on('error', () => undefined)
    if (side === 'server') call.once('cancelled', over)
    else (call as ClientDuplexStream<WireFrame, WireFrame>).once('status', over)
  }

  get closed(): AbortSignal {
    return this.#over.signal
  }

  async send(channel: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += MAX_FRAME) {
      await this.#write({ channel, data: data.subarray(at, at + MAX_FRAME), eof: false })
    }
  }

  async sendEof(channel: number): Promise<void> {
    await this.#write({ channel, data: EMPTY, eof: true })
  }

  end(): void {
    this.#call.end()
  }

  fail(error: unknown): void {
    if (this.#side === 'server') this.#call.emit('error', toStatus(error))
    else (this.#call as ClientDuplexStream<WireFrame, WireFrame>).cancel()
  }

  async #write(frame: WireFrame): Promise<void> {
    if (this.#over.signal.aborted || !this.#call.writable) return
    if (this.#call.write(frame)) return
    // All waiting senders share one pair of listeners.
    this.#drained ??= new Promise<void>((resolve) => {
      const done = (): void => {
        this.#call.off('drain', done)
        this.#over.signal.removeEventListener('abort', done)
        this.#drained = undefined
        resolve()
      }
      this.#call.once('drain', done)
      this.#over.signal.addEventListener('abort', done)
    })
    await this.#drained
  }
}

async function* read(call: Call): AsyncGenerator<Frame> {
  try {
    // A reader that stops early must not tear down the other direction.
    for await (const frame of call.iterator({ destroyOnReturn: false })) yield frame as WireFrame
  } catch (error) {
    throw fromStatus(error)
  }
}
