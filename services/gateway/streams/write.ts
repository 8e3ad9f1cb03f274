import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { frameHeader } from './stdcopy.ts'

/** A socket or an HTTP response. */
export type Sink = Writable

/** Waits until `sink` has room again, or is gone. Called for every chunk of a fast stream: no abort controller, no race. */
const roomIn = (sink: Sink): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      sink.off('drain', done).off('close', done).off('error', done)
      resolve()
    }
    sink.on('drain', done).on('close', done).on('error', done)
  })

export const gone = (sink: Sink): boolean => sink.destroyed || sink.writableEnded

const gathering = new WeakSet<Sink>()

/**
 * What is written to a socket in one turn of the event loop goes out in one system call: frames of a busy container are small.
 * (Not for HTTP responses: Node's forget to emit `drain` after they were corked, and do the like by themselves.)
 */
function gather(sink: Sink): void {
  if (!(sink instanceof Socket) || gathering.has(sink)) return
  gathering.add(sink)
  sink.cork()
  setImmediate(release, sink)
}

function release(sink: Sink): void {
  if (gathering.delete(sink)) sink.uncork()
}

/** Ends a sink after all that was written. */
export function finish(sink: Sink): void {
  release(sink)
  sink.end()
}

/** Writes, and waits when the reader is slower. False when the reader is gone. */
export async function write(sink: Sink, data: Uint8Array | string): Promise<boolean> {
  if (gone(sink)) return false
  gather(sink)
  if (!sink.write(data)) await roomIn(sink)
  return !gone(sink)
}

/** Writes one multiplexed frame: header and data. */
export async function writeFrame(sink: Sink, type: number, data: Uint8Array): Promise<boolean> {
  if (gone(sink)) return false
  gather(sink)
  sink.write(frameHeader(type, data.length))
  if (!sink.write(data)) await roomIn(sink)
  return !gone(sink)
}
