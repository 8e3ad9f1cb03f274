import type { OutputChunk } from '../../../shared/drivers/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import { DetachFilter } from './detach-keys.ts'
import type { Listener } from './hub.ts'

export interface AttachmentOptions {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  /** Looks for the detach keys in the input. */
  readonly tty: boolean
  readonly detachKeys: string
}

/** Where a client's input goes. */
export interface Input {
  write(data: Uint8Array): Promise<boolean>
  /** The client has no more input. True when it stays for the output, false when that ends its attachment. */
  close(): boolean
}

/**
 * A client's end of a container's stdio. It may exist before the client has opened its stream, and before the process runs: output
 * waits for the one, input for the other.
 */
export class Attachment implements Listener {
  readonly #options: AttachmentOptions
  readonly #detach: DetachFilter | undefined
  readonly #opened = Promise.withResolvers<StreamConnection | undefined>()
  readonly #input = Promise.withResolvers<Input | undefined>()
  readonly #ended = Promise.withResolvers<void>()

  constructor(options: AttachmentOptions) {
    this.#options = options
    this.#detach = options.tty ? new DetachFilter(options.detachKeys) : undefined
  }

  async push({ channel, data }: OutputChunk): Promise<void> {
    const wanted = channel === CHANNEL.stdout ? this.#options.stdout : this.#options.stderr
    if (wanted) await (await this.#opened.promise)?.send(channel, data)
  }

  end(): void {
    this.#ended.resolve()
    this.#input.resolve(undefined)
  }

  /** The client will not come: what waits for it goes on without. */
  abandon(): void {
    this.#opened.resolve(undefined)
    this.end()
  }

  /** The process takes input now. */
  connectInput(input: Input): void {
    this.#input.resolve(input)
  }

  /** Serves the client's stream until the output ends, or the client leaves or detaches. */
  async serve(stream: StreamConnection): Promise<'ended' | 'left'> {
    this.#opened.resolve(stream)
    const gone = new Promise<void>((resolve) => {
      if (stream.closed.aborted) resolve()
      else stream.closed.addEventListener('abort', () => resolve(), { once: true })
    })
    const left = Promise.race([gone, this.#readInput(stream)])
    return Promise.race([this.#ended.promise.then(() => 'ended' as const), left.then(() => 'left' as const)])
  }

  /** Resolves when the client's attachment is to end; not when only its input ends. */
  async #readInput(stream: StreamConnection): Promise<void> {
    try {
      for await (const frame of stream.frames) {
        if (!this.#options.stdin || frame.channel !== CHANNEL.stdin) continue
        if (frame.data.length > 0) {
          const filtered = this.#detach?.filter(frame.data)
          const input = await this.#input.promise
          const taken = await input?.write(filtered?.pass ?? frame.data)
          if (filtered?.detached) return
          // The process has closed its stdin: its output goes on.
          if (taken === false) break
        }
        if (frame.eof) break
      }
    } catch {
      // The client is gone; `closed` says so too.
      await this.#closeInput()
      return
    }
    if (await this.#closeInput()) await this.#ended.promise
  }

  async #closeInput(): Promise<boolean> {
    if (!this.#options.stdin) return true
    const input = await this.#input.promise
    return input?.close() ?? true
  }
}
