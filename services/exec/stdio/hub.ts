import type { OutputChunk, StdioConnection } from '../../../shared/drivers/index.ts'

/** One who is attached. */
export interface Listener {
  /** Resolves when there is room for more. */
  push(chunk: OutputChunk): Promise<void>
  /** No more output comes. */
  end(): void
}

/**
 * A container's stdio, shared by all who are attached, over one connection to the shim. One connection, because the shim closes the
 * process's stdin when any connection closes: with `stdinOnce` only the client that feeds stdin may do that, not one that watches.
 *
 * A listener that is slow slows the process, as with Docker.
 */
export class StdioHub {
  readonly #connect: () => StdioConnection
  readonly #stdinOnce: boolean
  readonly #listeners = new Set<Listener>()
  #connection: StdioConnection | undefined
  #over = false

  /** `connect` is called when the first listener comes, and again for a later one when all had left. */
  constructor(connect: () => StdioConnection, stdinOnce: boolean) {
    this.#connect = connect
    this.#stdinOnce = stdinOnce
  }

  /** Output from now on goes to the listener too. Throws what `connect` throws. */
  add(listener: Listener): void {
    if (this.#over) {
      listener.end()
      return
    }
    this.#listeners.add(listener)
    try {
      this.#open()
    } catch (error) {
      this.#listeners.delete(listener)
      throw error
    }
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener)
    // With stdinOnce, leaving the shim would close stdin before anybody has fed it.
    if (this.#listeners.size === 0 && !this.#stdinOnce) this.#leave()
  }

  /** False when the process takes no input any more. */
  async write(data: Uint8Array): Promise<boolean> {
    if (this.#over) return false
    return this.#open().write(data)
  }

  /** The client that feeds stdin is done; only with stdinOnce does the process notice. */
  closeStdin(): void {
    if (this.#stdinOnce && !this.#over) this.#open().closeStdin()
  }

  /** The process has ended or is removed: everybody is told when all output was delivered. */
  close(): void {
    this.#over = true
    if (!this.#connection) this.#endAll()
  }

  #open(): StdioConnection {
    if (this.#connection) return this.#connection
    const connection = this.#connect()
    this.#connection = connection
    void this.#pump(connection)
    return connection
  }

  async #pump(connection: StdioConnection): Promise<void> {
    for await (const chunk of connection.output) {
      if (this.#listeners.size === 1) for (const listener of this.#listeners) await listener.push(chunk)
      else await Promise.all([...this.#listeners].map((listener) => listener.push(chunk)))
    }
    if (this.#connection !== connection) return
    // The shim has ended, and with it the process.
    connection.close()
    this.#connection = undefined
    this.#over = true
    this.#endAll()
  }

  #leave(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  #endAll(): void {
    for (const listener of this.#listeners) listener.end()
    this.#listeners.clear()
  }
}
