import { connectSeqpacket, type PacketSocket } from '../kernel/seqpacket.ts'
import type { OutputChunk, StdioConnection } from '../drivers/exec.ts'
import { OutputQueue } from './output-queue.ts'

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
export const connectStdio = (attachSocket: string): StdioConnection => new ConmonStdio(attachSocket)

class ConmonStdio implements StdioConnection {
  readonly #socket: PacketSocket
  readonly #queue = new OutputQueue()
  #over = false
  #wake: (() => void) | undefined

  constructor(attachSocket: string) {
    this.#socket = connectSeqpacket(attachSocket, (packet) => this.#received(packet))
    const over = (): void => {
      this.#over = true
      this.#wake?.()
    }
    const { reader, writer } = this.#socket
    // An error (ECONNRESET when conmon ends with input unread) is an end like any other.
    reader.on('end', over).on('close', over).on('error', over)
    // Told to whoever writes.
    writer.on('error', () => undefined)
    reader.resume()
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#read()
  }

  async write(data: Uint8Array): Promise<boolean> {
    let sent = Promise.resolve(true)
    for (let at = 0; at < data.length; at += MAX_PACKET) {
      // Only while a packet waits for room is there anything to wait for.
      if (this.#socket.writer.writableLength > 0 && !(await sent)) return false
      sent = this.#writePacket(data.subarray(at, at + MAX_PACKET))
    }
    return sent
  }

  closeStdin(): void {
    const { writer } = this.#socket
    if (!writer.destroyed && !writer.writableEnded) writer.end()
  }

  close(): void {
    this.#socket.writer.destroy()
    this.#socket.reader.destroy()
  }

  #writePacket(packet: Uint8Array): Promise<boolean> {
    const { writer } = this.#socket
    if (!writer.writable) return Promise.resolve(false)
    return new Promise((resolve) => writer.write(packet, (error) => resolve(!error)))
  }

  #received(packet: Uint8Array): void {
    const channel = CHANNELS[packet[0] ?? 0]
    if (channel === undefined) return
    this.#queue.push(channel, packet.subarray(1))
    if (this.#queue.bytes > HIGH_WATER) this.#socket.reader.pause()
    this.#wake?.()
  }

  async *#read(): AsyncGenerator<OutputChunk> {
    for (;;) {
      while (this.#queue.bytes === 0 && !this.#over) await new Promise<void>((resolve) => (this.#wake = resolve))
      const chunks = this.#queue.take()
      if (chunks.length === 0) return
      if (this.#socket.reader.isPaused()) this.#socket.reader.resume()
      yield* chunks
    }
  }
}
