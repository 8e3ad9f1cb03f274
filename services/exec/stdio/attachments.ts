import type { ProcessHandle } from '../../../shared/drivers/index.ts'
import type { StreamRef } from '../../../shared/contracts/index.ts'
import type { StreamServer } from '../../../shared/streams/index.ts'
import { Attachment, type AttachmentOptions } from './attachment.ts'
import { StdioHub } from './hub.ts'
import { offerAttachment, type Send } from './offer.ts'

interface StdioFacts {
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdinOnce: boolean
}

interface Container {
  readonly hub: StdioHub
  readonly facts: StdioFacts
}

/** Who is attached to which container, also before its process runs. */
export class Attachments {
  readonly #streams: StreamServer
  readonly #containers = new Map<string, Container>()
  readonly #waiting = new Map<string, Set<Attachment>>()

  constructor(streams: StreamServer) {
    this.#streams = streams
  }

  /**
   * Attaches a client: to the process that runs, or to the one that will be run next; `missed`: to none, since the one it asked for has
   * ended. `before` runs when the client opens its stream, ahead of live output; `output` sends what is not live, beside the input.
   */
  attach(
    id: string,
    options: AttachmentOptions & { readonly missed: boolean },
    sources: { before?: Send; output?: Send } = {},
  ): StreamRef {
    const attachment = new Attachment(options)
    const container = this.#containers.get(id)
    if (options.missed) attachment.end()
    else if (container) join(container, attachment)
    else this.#waiting.set(id, (this.#waiting.get(id) ?? new Set()).add(attachment))
    return offerAttachment(this.#streams, attachment, {
      ...sources,
      leave: () => {
        this.#waiting.get(id)?.delete(attachment)
        if (this.#waiting.get(id)?.size === 0) this.#waiting.delete(id)
        this.#containers.get(id)?.hub.remove(attachment)
      },
    })
  }

  /** The process exists and will start next, or runs already (after a restart of the service). */
  begin(id: string, handle: ProcessHandle, facts: StdioFacts): void {
    const container: Container = { hub: new StdioHub(() => handle.connect(), facts.stdinOnce), facts }
    this.#containers.set(id, container)
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    for (const attachment of waiting ?? []) join(container, attachment)
    void handle.exited.then(() => {
      if (this.#containers.get(id) === container) this.#containers.delete(id)
      container.hub.close()
    })
  }

  /** There will be no process: who waits for it is let go. */
  end(id: string): void {
    for (const attachment of this.#waiting.get(id) ?? []) attachment.abandon()
    this.#waiting.delete(id)
    this.#containers.get(id)?.hub.close()
    this.#containers.delete(id)
  }
}

function join(container: Container, attachment: Attachment): void {
  const { hub, facts } = container
  if (facts.stdin) {
    attachment.connectInput({
      write: (data) => hub.write(data),
      // As Docker: who types into a process that keeps its stdin leaves with the end of the input.
      close: () => {
        hub.closeStdin()
        return facts.stdinOnce
      },
    })
  } else {
    attachment.connectInput({ write: async () => false, close: () => true })
  }
  try {
    hub.add(attachment)
  } catch {
    // The shim has ended between the process's end and its notice.
    attachment.end()
  }
}
