import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { cancelled } from '../../../shared/errors/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import { write, writeFrame, type Sink } from './write.ts'

export interface SpliceOptions {
  /** Docker's framing of stdout and stderr; without it (terminals) the bytes go as they are. */
  readonly multiplexed: boolean
  /** Whether the client's bytes are wanted; otherwise they are read and dropped. */
  readonly stdin: boolean
  /** Milliseconds to hold the first output back, so that it does not share a packet with the reply's header. */
  readonly holdMs?: number
}

/**
 * Connects a client with a container's stdio until the output ends. The end of `source` (the client shut down its writing
 * side) is the end of stdin; output goes on. When the client is gone altogether the stream is cancelled.
 * @throws what the stream ended with
 */
export async function splice(
  source: Readable,
  sink: Sink,
  connection: StreamConnection,
  options: SpliceOptions,
): Promise<void> {
  const leave = (): void => connection.fail(cancelled('the client went away'))
  sink.once('close', leave)
  if (sink.destroyed) leave()
  const input = pumpIn(source, connection, options.stdin)
  try {
    if (options.holdMs !== undefined) await delay(options.holdMs)
    if (!(await pumpOut(sink, connection, options.multiplexed))) leave()
  } catch (error) {
    if (!sink.destroyed) throw error
  } finally {
    sink.off('close', leave)
    void input
  }
}

/** False when the client has gone before the output ended. */
async function pumpOut(sink: Sink, connection: StreamConnection, multiplexed: boolean): Promise<boolean> {
  for await (const { channel, data } of connection.frames) {
    if (data.length === 0) continue
    const open = multiplexed ? await writeFrame(sink, channel, data) : await write(sink, data)
    if (!open) return false
  }
  return true
}

/** Never rejects: a client that breaks off is seen by its socket's `close`. */
async function pumpIn(source: Readable, connection: StreamConnection, wanted: boolean): Promise<void> {
  try {
    for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      // After the output's end what still comes is read and dropped: closing with unread bytes would reset the client.
      if (wanted && !connection.closed.aborted) await connection.send(CHANNEL.stdin, chunk)
    }
    if (wanted) await connection.sendEof(CHANNEL.stdin)
  } catch {
    // The source broke.
  }
}
