import { isCode } from './libc.ts'
import { type NetlinkRequest, NetlinkSocket } from './netlink.ts'
import { withNetns } from './netns.ts'
import { deleteLink } from './rtnetlink-links.ts'

// Acknowledgements of a batch must fit into the socket's receive buffer.
const MAX_BATCH = 64

/**
 * Deletes links in the background: taking a link down is done at once, but for its end the kernel waits until no processor
 * can be using it any more, 10 to 50 ms, which a worker thread spends instead of this one. Links asked for meanwhile go
 * together in the next call.
 */
export class LinkReaper {
  #socket: NetlinkSocket | undefined
  readonly #queue = new Map<string, PromiseWithResolvers<void>>()
  #running: Promise<void> | undefined
  readonly #pending = new Map<string, Promise<void>>()

  /** Resolves when the link is gone; one that is missing already is no error. */
  delete(name: string): Promise<void> {
    const queued = this.#pending.get(name)
    if (queued) return queued
    const entry = Promise.withResolvers<void>()
    this.#queue.set(name, entry)
    const done = entry.promise.finally(() => this.#pending.delete(name))
    this.#pending.set(name, done)
    this.#running ??= this.#run()
    return done
  }

  /** Resolves when no deletion of this link is under way. */
  async gone(name: string): Promise<void> {
    await this.#pending.get(name)?.catch(() => undefined)
  }

  /** Waits for all that was asked for, and closes. */
  async close(): Promise<void> {
    while (this.#running) await this.#running
    this.#socket?.close()
    this.#socket = undefined
  }

  async #run(): Promise<void> {
    // A moment, so that a namespace unpinned right after this call takes its links along, all in one.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#queue.size > 0) {
      const batch = new Map([...this.#queue].slice(0, MAX_BATCH))
      const names = [...batch.keys()]
      for (const name of names) this.#queue.delete(name)
      const requests: NetlinkRequest[] = names.map((name) => deleteLink(name))
      try {
        this.#socket ??= new NetlinkSocket(0)
        const outcomes = await this.#socket.exchangeOnWorker(requests)
        names.forEach((name, i) => {
          const outcome = outcomes[i]
          if (outcome instanceof Error && !isCode(outcome, 'ENODEV', 'ENXIO')) batch.get(name)?.reject(outcome)
          else batch.get(name)?.resolve()
        })
      } catch (error) {
        for (const entry of batch.values()) entry.reject(error)
      }
    }
    this.#running = undefined
  }
}

/** Deletes a link of another namespace in the background. Resolves when it is gone, with its namespace or alone. */
export async function deleteLinkIn(netns: string, name: string): Promise<void> {
  const socket = withNetns(netns, () => new NetlinkSocket(0))
  try {
    const [outcome] = await socket.exchangeOnWorker([deleteLink(name)])
    if (outcome instanceof Error && !isCode(outcome, 'ENODEV', 'ENXIO')) throw outcome
  } finally {
    socket.close()
  }
}
