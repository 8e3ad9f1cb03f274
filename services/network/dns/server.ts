import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Logger } from '../../../shared/log/index.ts'
import { Client } from './client.ts'
import { Forwarder } from './forwarder.ts'
import { Deframer, frame } from './frames.ts'
import { Resolver } from './resolver.ts'
import { openSandboxSockets } from './sandbox-sockets.ts'
import type { NameSource } from './types.ts'

/** A TCP client that says nothing for so long is let go. */
const TCP_IDLE_MS = 10_000
const TCP_CONNECTIONS = 64

interface Seat {
  readonly client: Client
  readonly udp: UdpSocket
  readonly tcp: Server
  readonly connections: Set<Socket>
}

/** The DNS server at 127.0.0.11 of every attached sandbox. */
export class DnsServer {
  readonly #log: Logger
  readonly #resolver: Resolver
  readonly #seats = new Map<string, Seat>()

  /** `servers` are asked for what is nobody's name here, unless the name source says otherwise for a sandbox. */
  constructor(options: { log: Logger; names: NameSource; servers: () => readonly string[] }) {
    this.#log = options.log
    this.#resolver = new Resolver({ names: options.names, servers: options.servers, forwarder: new Forwarder() })
  }

  /**
   * Serves a sandbox, whose namespace has loopback up; serving it already is no error. The namespace lives on until `detach`, even
   * when its file is gone.
   */
  async attach(sandboxId: string, netns: string): Promise<void> {
    if (this.#seats.has(sandboxId)) return
    const fds = openSandboxSockets(netns)
    const seat: Seat = {
      client: new Client(sandboxId, netns),
      udp: createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) }),
      tcp: createServer(),
      connections: new Set(),
    }
    this.#seats.set(sandboxId, seat)
    this.#serveUdp(seat)
    this.#serveTcp(seat)
    const listening = Promise.all([once(seat.udp, 'listening'), once(seat.tcp, 'listening')])
    seat.udp.bind({ fd: fds.udp })
    seat.tcp.listen({ fd: fds.tcp })
    try {
      await listening
    } catch (error) {
      this.detach(sandboxId)
      throw error
    }
  }

  /** Stops serving a sandbox; one that is not served is no error. */
  detach(sandboxId: string): void {
    const seat = this.#seats.get(sandboxId)
    if (!seat) return
    this.#seats.delete(sandboxId)
    seat.udp.close()
    seat.tcp.close()
    for (const connection of seat.connections) connection.destroy()
  }

  close(): void {
    for (const sandboxId of [...this.#seats.keys()]) this.detach(sandboxId)
  }

  #serveUdp({ client, udp: socket }: Seat): void {
    const trouble = (error: Error): void => this.#log.warn({ sandbox: client.sandbox, error }, 'DNS socket')
    socket.on('error', trouble)
    socket.on('message', (message, { address, port }) => {
      this.#reply(client, message, 'udp', (reply) => {
        // Meanwhile the sandbox may be gone; who did not get a reply asks again.
        if (this.#seats.get(client.sandbox)?.udp === socket) socket.send(reply, port, address, () => undefined)
      })
    })
  }

  #serveTcp({ client, tcp, connections }: Seat): void {
    tcp.maxConnections = TCP_CONNECTIONS
    tcp.on('error', (error) => this.#log.warn({ sandbox: client.sandbox, error }, 'DNS listener'))
    tcp.on('connection', (connection) => {
      connections.add(connection)
      const frames = new Deframer()
      connection.setTimeout(TCP_IDLE_MS, () => connection.destroy())
      connection.on('error', () => connection.destroy())
      connection.on('close', () => connections.delete(connection))
      connection.on('data', (piece) => {
        for (const message of frames.push(piece)) {
          this.#reply(client, message, 'tcp', (reply) => {
            if (connection.writable) connection.write(frame(reply))
          })
        }
      })
    })
  }

  #reply(client: Client, message: Buffer, transport: 'udp' | 'tcp', send: (reply: Buffer) => void): void {
    try {
      const reply = this.#resolver.resolve(client, message, transport)
      if (reply instanceof Promise) reply.then(send).catch((error: unknown) => this.#trouble(client, error))
      else if (reply) send(reply)
    } catch (error) {
      this.#trouble(client, error)
    }
  }

  #trouble(client: Client, error: unknown): void {
    this.#log.warn({ sandbox: client.sandbox, error }, 'a DNS question could not be answered')
  }
}
