import type { WireFrame } from './codec.ts'
import { MAX_FRAME } from './wire.ts'

interface Piece {
  readonly channel: number
  /** Undefined at the channel's end. */
  readonly data: Uint8Array | undefined
}

/** Data that waits to be sent. Neighbours of one channel leave as one frame: a message costs more than its bytes do. */
export class Outbox {
  #pieces: Piece[] = []
  /** The first piece that has not left. */
  #first = 0
  #bytes = 0

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes
  }

  push(channel: number, data: Uint8Array): void {
    for (let at = 0; at < data.length; at += MAX_FRAME) {
      this.#pieces.push({ channel, data: data.subarray(at, at + MAX_FRAME) })
    }
    this.#bytes += data.length
  }

  pushEof(channel: number): void {
    this.#pieces.push({ channel, data: undefined })
  }

  /** The next frame; undefined when nothing waits. */
  shift(): WireFrame | undefined {
    const first = this.#pieces[this.#first]
    if (!first) return undefined
    const parts: Uint8Array[] = []
    if (first.data === undefined) this.#first++
    else this.#bytes -= this.#gather(first.channel, parts)
    if (this.#first === this.#pieces.length) this.clear()
    return { channel: first.channel, parts, eof: first.data === undefined }
  }

  /** Takes what follows on this channel, as much as one frame may hold; returns its length. */
  #gather(channel: number, parts: Uint8Array[]): number {
    let length = 0
    for (;;) {
      const piece = this.#pieces[this.#first]
      if (piece?.channel !== channel || piece.data === undefined) return length
      if (length > 0 && length + piece.data.length > MAX_FRAME) return length
      parts.push(piece.data)
      length += piece.data.length
      this.#first++
    }
  }

  clear(): void {
    this.#pieces = []
    this.#first = 0
    this.#bytes = 0
  }
}
