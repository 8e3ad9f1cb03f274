import { connect, createServer, type Server, type Socket } from 'node:net'

/** Where a container listens. */
export interface RelayTarget {
  readonly address: string
  readonly port: number
}

/**
 * Passes the connections of a listening socket on to a container, byte for byte: each side is read no faster than the other one
 * takes it, the end of one direction leaves the other open, and a broken side breaks the other.
 */
export class Relay {
  /** For connections from now on. */
  target: RelayTarget
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  /** `fd`: a bound TCP socket, which is closed with the relay. `failed`: told when no connections can be accepted any more. */
  constructor(fd: number, target: RelayTarget, failed: (error: Error) => void) {
    this.target = target
    // pauseOnConnect: nothing is read before there is somebody to give it to.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (c) => this.#pass(c))
    this.#server.on('error', failed)
    this.#server.listen({ fd })
  }

  #pass(client: Socket): void {
    const { address: host, port } = this.target
    const container = connect({ host, port, allowHalfOpen: true, noDelay: true })
    this.#track(client, container)
    this.#track(container, client)
    container.once('connect', () => {
      client.pipe(container)
      container.pipe(client)
    })
  }

  #track(socket: Socket, other: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => other.resetAndDestroy())
    socket.once('close', () => this.#sockets.delete(socket))
  }

  /** Ends the connections too: who published the port does not any more. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }
}
