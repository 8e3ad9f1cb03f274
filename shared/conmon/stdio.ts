import type { Socket } from 'node:net'
import { connectSeqpacket } from '../kernel/seqpacket.ts'
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
  readonly #socket: Socket
  readonly #queue = new OutputQueue()
  #over = false
  #wake: (() => void) | undefined

  constructor(attachSocket: string) {
    this.#socket = connectSeqpacket(attachSocket, (packet) => this.#received(packet))
    const over = (): void => {
      this.#over = true
      this.#wake?.()
    }
    // An error (ECONNRESET when conmon ends with input unread) is an end like any other.
    this.#socket.on('end', over).on('close', over).on('error', over)
    this.#socket.resume()
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#read()
  }

  async write(data: Uint8Array): Promise<boolean> {
    let sent = Promise.resolve(true)
    for (let at = 0; at < data.length; at += MAX_PACKET) {
      // Only while a packet waits for room is there anything to wait for.
      if (this.#socket.writableLength > 0 && !(await sent)) return false
      sent = this.#writePacket(data.subarray(at, at + MAX_PACKET))
    }
    return sent
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

  #received(packet: Uint8Array): void {
    const channel = CHANNELS[packet[0] ?? 0]
    if (channel === undefined) return
    this.#queue.push(channel, packet.subarray(1))
    if (this.#queue.bytes > HIGH_WATER) this.#socket.pause()
    this.#wake?.()
  }

  async *#read(): AsyncGenerator<OutputChunk> {
    for (;;) {
      while (this.#queue.bytes === 0 && !this.#over) await new Promise<void>((resolve) => (this.#wake = resolve))
      const chunks = this.#queue.take()
      if (chunks.length === 0) return
      if (this.#socket.isPaused()) this.#socket.resume()
      yield* chunks
    }
  }
}
