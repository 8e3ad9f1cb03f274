import type { Socket } from 'node:net'
import { connectSeqpacket } from '../kernel/seqpacket.ts'
import type { OutputChunk, StdioConnection } from '../drivers/exec.ts'

/** conmon reads at most that much of a packet; the rest would be lost. */
const MAX_PACKET = 32 * 1024
/** Output that waits for its reader beyond this stops the reading, and with it the process. */
const HIGH_WATER = 256 * 1024

/** First byte of each packet from conmon (its stdpipe_t). */
const CHANNELS: Readonly<Record<number, 1 | 2>> = { 2: 1, 3: 2 }

/**
 * Connects to a conmon's attach socket. What the process wrote before is not seen (it is in the log). Throws SystemError ENOENT
 * or ECONNREFUSED when the shim is gone.
 */
export const connectStdio = (attachSocket: string): StdioConnection => new ConmonStdio(connectSeqpacket(attachSocket))

class ConmonStdio implements StdioConnection {
  readonly #socket: Socket
  #queue: OutputChunk[] = []
  #queued = 0
  #over = false
  #wake: (() => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (packet: Buffer) => this.#received(packet))
    const over = (): void => {
      this.#over = true
      this.#wake?.()
    }
    // An error (ECONNRESET when conmon ends with input unread) is an end like any other.
    socket.on('end', over).on('close', over).on('error', over)
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#read()
  }

  async write(data: Uint8Array): Promise<boolean> {
    for (let at = 0; at < data.length; at += MAX_PACKET) {
      if (!(await this.#writePacket(data.subarray(at, at + MAX_PACKET)))) return false
    }
    return true
  }

  closeStdin(): void {
    if (!this.#socket.destroyed && !this.#socket.writableEnded) this.#socket.end()
  }

  close(): void {
    this.#socket.destroy()
  }

  #writePacket(packet: Uint8Array): Promise<boolean> {
    if (!this.#socket.writable) return Promise.resolve(false)
    return new Promise((resolve) => this.#socket.write(packet, (error) => resolve(!error)))
  }

  #received(packet: Buffer): void {
    const channel = CHANNELS[packet[0] ?? 0]
    if (channel === undefined) return
    this.#queue.push({ channel, data: packet.subarray(1) })
    this.#queued += packet.length
    if (this.#queued > HIGH_WATER) this.#socket.pause()
    this.#wake?.()
  }

  async *#read(): AsyncGenerator<OutputChunk> {
    for (;;) {
      while (this.#queue.length === 0 && !this.#over) await new Promise<void>((resolve) => (this.#wake = resolve))
      if (this.#queue.length === 0) return
      const queue = this.#queue
      this.#queue = []
      this.#queued = 0
      if (this.#socket.isPaused()) this.#socket.resume()
      yield* joined(queue)
    }
  }
}

/** Neighbours of one channel as one chunk: what piles up while a reader is busy costs it one round, not one each 8 KB. */
export function* joined(queue: readonly OutputChunk[]): Generator<OutputChunk> {
  for (let from = 0; from < queue.length;) {
    const first = queue[from]
    if (!first) return
    let to = from + 1
    while (queue[to]?.channel === first.channel) to++
    const parts = queue.slice(from, to).map((c) => c.data)
    yield { channel: first.channel, data: parts.length === 1 ? first.data : Buffer.concat(parts) }
    from = to
  }
}
