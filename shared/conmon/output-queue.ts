import type { OutputChunk } from '../drivers/exec.ts'

/** Room for one packet of conmon and for several: what piles up while a reader is busy costs it one round, not one each 8 KB. */
const FIRST = 8 * 1024
const NEXT = 64 * 1024

/** Output that waits for its reader. What it is given is copied; neighbours of one channel become one chunk. */
export class OutputQueue {
  #chunks: OutputChunk[] = []
  #bytes = 0
  /** Where the last chunk is, and may grow. */
  #buffer = Buffer.alloc(0)
  #from = 0
  #used = 0

  get bytes(): number {
    return this.#bytes
  }

  push(channel: 1 | 2, data: Uint8Array): void {
    if (data.length === 0) return
    const last = this.#chunks.at(-1)
    const grows = last?.channel === channel && this.#used + data.length <= this.#buffer.length
    if (!grows) this.#begin(data.length)
    this.#buffer.set(data, this.#used)
    this.#used += data.length
    this.#bytes += data.length
    if (grows) this.#chunks.pop()
    this.#chunks.push({ channel, data: this.#buffer.subarray(this.#from, this.#used) })
  }

  /** All that waits, in its order. */
  take(): OutputChunk[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    this.#from = this.#used
    return chunks
  }

  /** A new chunk: behind the last one while its buffer has room. */
  #begin(length: number): void {
    this.#from = this.#used
    if (this.#used + length <= this.#buffer.length) return
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(length, this.#chunks.length === 0 ? FIRST : NEXT))
    this.#from = this.#used = 0
  }
}
