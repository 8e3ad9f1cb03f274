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
const SLOTS = 8

/** Where a reading thread's port comes from: hand it to `offload`, then `pump` the bytes. */
export function createPipe(): { port: MessagePort; pump: (source: AsyncIterable<Uint8Array>) => Promise<void> } {
  const { port1, port2 } = new MessageChannel()
  return { port: port2, pump: (source) => pump(source, port1) }
}

/** Sends all of `source`. Ends early, without error, when the reader is gone: the reader's own failure tells why. */
async function pump(source: AsyncIterable<Uint8Array>, port: MessagePort): Promise<void> {
  const memory = new Uint8Array(new SharedArrayBuffer(SLOT * SLOTS))
  const free = Array.from({ length: SLOTS }, (_, slot) => slot)
  let gone = false
  let wake = (): void => undefined
  port.on('message', (slot: number) => {
    free.push(slot)
    wake()
  })
  port.on('close', () => {
    gone = true
    wake()
  })
  const send = (message: ToReader): void => port.postMessage(message)
  send({ memory: memory.buffer })
  try {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length && !gone;) {
        const slot = free.pop()
        if (slot === undefined) {
          await new Promise<void>((resolve) => (wake = resolve))
          continue
        }
        const piece = chunk.subarray(at, at + SLOT)
        memory.set(piece, slot * SLOT)
        send({ slot, length: piece.length })
        at += piece.length
      }
      if (gone) return
    }
    send({ end: true })
  } catch (error) {
    send({ error: toWire(error) })
  }
}

/** The bytes that arrive at a port, each piece good until the next is asked for; throws the sender's error. */
export async function* readPipe(port: MessagePort): AsyncGenerator<Buffer> {
  const queue: ToReader[] = []
  let memory = new SharedArrayBuffer(0)
  let closed = false
  let wake = (): void => undefined
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
      await new Promise<void>((resolve) => (wake = resolve))
    } else if ('memory' in message) {
      memory = message.memory
    } else if ('slot' in message) {
      yield Buffer.from(memory, message.slot * SLOT, message.length)
      port.postMessage(message.slot)
    } else if ('error' in message) {
      throw fromWire(message.error)
    } else return
  }
}
