import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'

/** Progress of a transfer on its stream: one JSON message a line, as Docker's clients read it. */
export class Progress {
  readonly #connection: StreamConnection
  #lastBytes = 0

  constructor(connection: StreamConnection) {
    this.#connection = connection
  }

  send(message: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#connection.send(CHANNEL.stdout, Buffer.from(`${JSON.stringify(message)}\r\n`))
  }

  /** Passes bytes on and tells, a few times a second at most, how many there were. */
  async *counting(source: AsyncIterable<Uint8Array>, status: string): AsyncGenerator<Uint8Array> {
    let bytes = 0
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes - this.#lastBytes >= REPORT_EVERY) {
        this.#lastBytes = bytes
        await this.send({ status, progressDetail: { current: bytes, total: -1 } })
      }
      yield chunk
    }
  }
}

const REPORT_EVERY = 8 * 1024 * 1024

/**
 * The bytes that a client sends on channel 0, up to their end. What it sends later, and its going away after that, is not looked at:
 * the reply still has to reach it.
 */
export async function* incoming(connection: StreamConnection): AsyncGenerator<Uint8Array> {
  // Not `for await`: leaving that loop would end the stream in both directions.
  const frames = connection.frames[Symbol.asyncIterator]()
  for (;;) {
    const next = await frames.next()
    if (next.done) return
    const { channel, data, eof } = next.value
    if (channel !== CHANNEL.stdin) continue
    if (data.length > 0) yield data
    if (eof) return
  }
}
