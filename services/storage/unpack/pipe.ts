import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { cancelled, fromWire, toWire, type WireError } from '../../../shared/errors/index.ts'

/**
 * Bytes from one thread to another, with back-pressure. They go through slots of shared memory that are used again and again:
 * messages with the bytes in them would leave hundreds of megabytes to the garbage collectors of both threads.
 */
type ToReader =
  | { readonly memory: SharedArrayBuffer }
  | { readonly slot: number; readonly length: number }
  | { readonly end: true }
  | { readonly error: WireError }

const SLOT = 256 * 1024
const SLOTS = 16
/** Used slots go back in bunches: each message wakes the other thread. */
const BUNCH = 4
/** How long a slot that is not full may wait for more. */
const LINGER_MS = 5

/** Where a reading thread's port comes from: hand it to `offload`, then `pump` the bytes. */
export function createPipe(): { port: MessagePort; pump: (source: AsyncIterable<Uint8Array>) => Promise<void> } {
  const { port1, port2 } = new MessageChannel()
  return { port: port2, pump: (source) => new Writer(port1).pump(source) }
}

/** The sending end. */
class Writer {
  readonly #port: MessagePort
  readonly #memory = new Uint8Array(new SharedArrayBuffer(SLOT * SLOTS))
  readonly #free = Array.from({ length: SLOTS }, (_, slot) => slot)
  #slot: number | undefined
  #filled = 0
  #gone = false
  #wake = (): void => undefined
  #linger: NodeJS.Timeout | undefined

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (slots: number[]) => {
      this.#free.push(...slots)
      this.#wake()
    })
    port.on('close', () => {
      this.#gone = true
      this.#wake()
    })
    this.#send({ memory: this.#memory.buffer })
  }

  #send(message: ToReader): void {
    this.#port.postMessage(message)
  }

  /** Sends all of `source`. Ends early, without error, when the reader is gone: the reader's own failure tells why. */
  async pump(source: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of source) {
        await this.#put(chunk)
        if (this.#gone) return
      }
      this.#flush()
      this.#send({ end: true })
    } catch (error) {
      this.#send({ error: toWire(error) })
    } finally {
      clearTimeout(this.#linger)
    }
  }

  async #put(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length && !this.#gone;) {
      const slot = (this.#slot ??= this.#free.pop())
      if (slot === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      const piece = chunk.subarray(at, at + SLOT - this.#filled)
      this.#memory.set(piece, slot * SLOT + this.#filled)
      this.#filled += piece.length
      at += piece.length
      if (this.#filled === SLOT) this.#flush()
    }
    if (this.#filled > 0) this.#linger ??= setTimeout(() => this.#flush(), LINGER_MS)
  }

  #flush(): void {
    clearTimeout(this.#linger)
    this.#linger = undefined
    if (this.#slot === undefined || this.#filled === 0) return
    this.#send({ slot: this.#slot, length: this.#filled })
    this.#slot = undefined
    this.#filled = 0
  }
}

/** The bytes that arrive at a port, each piece good until the next is asked for; throws the sender's error. */
export async function* readPipe(port: MessagePort): AsyncGenerator<Buffer> {
  const queue: ToReader[] = []
  let memory = new SharedArrayBuffer(0)
  let closed = false
  let used: number[] = []
  let wake = (): void => undefined
  const giveBack = (): void => {
    if (used.length > 0) port.postMessage(used)
    used = []
  }
  port.on('message', (message: ToReader) => {
    queue.push(message)
    wake()
  })
  port.on('close', () => {
    closed = true
    wake()
  })
  for (;;) {
    const message = queue.shift()
    if (!message) {
      if (closed) throw cancelled('the sender is gone')
      giveBack()
      await new Promise<void>((resolve) => (wake = resolve))
    } else if ('memory' in message) {
      memory = message.memory
    } else if ('slot' in message) {
      yield Buffer.from(memory, message.slot * SLOT, message.length)
      used.push(message.slot)
      if (used.length >= BUNCH) giveBack()
    } else if ('error' in message) {
      throw fromWire(message.error)
    } else return
  }
}
