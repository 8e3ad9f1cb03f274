import type { StreamRef } from '../contracts/index.ts'

/** Channels of a byte stream. */
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2 } as const

/** A piece of a stream. `eof` says that this channel, in this direction, is at its end. */
export interface Frame {
  readonly channel: number
  readonly data: Uint8Array
  readonly eof?: boolean
}

/** Either end of a byte stream. */
export interface StreamConnection {
  /** Frames from the other side; ends when it ended its side, throws its error. `unavailable` when the stream broke. */
  readonly frames: AsyncIterable<Frame>
  /** Sends; resolves when there is room for more (back-pressure), at once when the other side is gone. */
  send(channel: number, data: Uint8Array): Promise<void>
  /** Says that nothing more comes on this channel. */
  sendEof(channel: number): Promise<void>
  /** The server's end of the stream, after all that was sent. */
  end(): void
  /** Ends it with an error that the other side's `frames` throws; a client's cancels it. */
  fail(error: unknown): void
  /** Aborted when the stream is over, for whatever reason. */
  readonly closed: AbortSignal
}

export interface StreamServer {
  /** Registers a one-time ticket; `serve` runs when a client opens it, and the stream ends when it returns or throws. */
  offer(serve: (connection: StreamConnection) => Promise<void>): StreamRef
  close(): Promise<void>
}
