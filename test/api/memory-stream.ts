import { PassThrough } from 'node:stream'
import type { Frame, StreamConnection } from '../../shared/streams/index.ts'

/** Two connected ends of a byte stream, without gRPC. */
export function memoryStream(): { client: StreamConnection; server: StreamConnection } {
  const up = new PassThrough({ objectMode: true, highWaterMark: 4 })
  const down = new PassThrough({ objectMode: true, highWaterMark: 4 })
  const over = new AbortController()
  const end = (incoming: PassThrough, outgoing: PassThrough, endsStream: boolean): StreamConnection => ({
    frames: incoming as AsyncIterable<Frame>,
    async send(channel, data) {
      if (over.signal.aborted || outgoing.destroyed) return
      if (!outgoing.write({ channel, data } satisfies Frame)) await drained(outgoing, over.signal)
    },
    async sendEof(channel) {
      if (!over.signal.aborted) outgoing.write({ channel, data: new Uint8Array(0), eof: true } satisfies Frame)
    },
    end() {
      outgoing.end()
      if (endsStream) outgoing.once('end', () => over.abort())
    },
    fail(error) {
      over.abort()
      outgoing.on('error', () => undefined)
      outgoing.destroy(error instanceof Error ? error : new Error('the stream was cancelled'))
      incoming.on('error', () => undefined)
      incoming.destroy(error instanceof Error ? error : new Error('the stream was cancelled'))
    },
    closed: over.signal,
  })
  return { client: end(down, up, false), server: end(up, down, true) }
}

const drained = (stream: PassThrough, over: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done)
      over.removeEventListener('abort', done)
      resolve()
    }
    stream.once('drain', done).once('close', done)
    over.addEventListener('abort', done)
  })
