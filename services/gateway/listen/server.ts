import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { handleUpgrades, wantsUpgrade } from '../http/upgrade.ts'
import { addressText, type Address } from './addresses.ts'
import { clearSocket, protectSocket } from './unix-socket.ts'

export interface Listener {
  /** Where it listens, as a docker client's DOCKER_HOST. */
  readonly address: string
  readonly warning: string | undefined
  /** Takes no more connections; those without a request are closed. */
  drain(): void
  /** Closes what is left. */
  close(): Promise<void>
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void

const HEADERS_TIMEOUT_MS = 60_000
const MAX_HEADER_BYTES = 256 * 1024
const BAD_REQUEST = JSON.stringify({ message: 'this is not an HTTP request that can be understood' })

/** Starts an HTTP server on one address. */
export async function listen(address: Address, handle: Handle, socketGroup: string | undefined): Promise<Listener> {
  if (address.kind === 'unix') await clearSocket(address.path)
  const server = createServer(
    {
      // Archives and streams take as long as they take; only a header must come in time.
      requestTimeout: 0,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
      shouldUpgradeCallback: wantsUpgrade,
    },
    handle,
  )
  server.on('clientError', refuse)
  handleUpgrades(server, handle)
  const sockets = trackSockets(server)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const done = (): void => {
      server.off('error', reject)
      resolve()
    }
    if (address.kind === 'unix') server.listen(address.path, done)
    else server.listen(address.port, address.host, done)
  })
  const warning = address.kind === 'unix' ? protectSocket(address.path, socketGroup) : undefined
  const bound = address.kind === 'unix' ? address : { ...address, port: (server.address() as AddressInfo).port }
  let closed: Promise<void> | undefined
  const drain = (): Promise<void> => {
    closed ??= new Promise((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    return closed
  }
  return {
    address: addressText(bound),
    warning,
    drain: () => void drain(),
    async close() {
      const all = drain()
      for (const socket of sockets) socket.destroy()
      await all
    },
  }
}

/** Every connection, hijacked ones too: the HTTP server forgets those. */
function trackSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${BAD_REQUEST.length}\r\n` +
      `Connection: close\r\n\r\n${BAD_REQUEST}`,
  )
}
