import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Hijacking: a client that attaches to a container asks for `Upgrade: tcp`, and from the reply's header on both sides
 * use the connection as a raw stream. Node hands such requests over with the parser already taken off the socket, body
 * unread; here the body is read and the request goes the way of every other one, until its handler calls `takeOver`.
 */
interface Upgraded {
  readonly body: Buffer
}

/** An attach or exec start body is a handful of options. */
const MAX_BODY = 1024 * 1024
const BODY_TIMEOUT_MS = 30_000

const upgrades = new WeakMap<IncomingMessage, Upgraded>()

/** The body of a request that came as an upgrade; undefined for others. */
export const bufferedBody = (request: IncomingMessage): Buffer | undefined => upgrades.get(request)?.body

export const isUpgrade = (request: IncomingMessage): boolean => upgrades.has(request)

/** Only what asks for it by name is upgraded: h2c, websocket and chunked requests stay ordinary ones. */
export const wantsUpgrade = (request: IncomingMessage): boolean =>
  request.headers.upgrade?.toLowerCase() === 'tcp' && request.headers['transfer-encoding'] === undefined

/** Routes a server's upgrade requests through `handle`, like its ordinary ones. */
export function handleUpgrades(
  server: Server,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): void {
  server.on('upgrade', (request: IncomingMessage, duplex: Duplex, head: Buffer) => {
    const socket = duplex as Socket
    socket.on('error', () => socket.destroy())
    const length = Number(request.headers['content-length'] ?? 0)
    if (length > MAX_BODY) {
      socket.end('HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    readExactly(socket, head, length, (body) => {
      upgrades.set(request, { body })
      const response = new ServerResponse(request)
      // The parser is gone: when the handler does not take over (an error), this reply is the connection's last.
      response.shouldKeepAlive = false
      response.assignSocket(socket)
      response.once('finish', () => {
        response.detachSocket(socket)
        socket.end()
        socket.resume()
      })
      handle(request, response)
    })
  })
}

/** Collects `length` bytes; what came beyond them is put back. A client that never sends them is cut off. */
function readExactly(socket: Socket, head: Buffer, length: number, done: (body: Buffer) => void): void {
  let received = head
  const finish = (): void => {
    socket.off('data', onData).off('close', cleanUp)
    clearTimeout(timer)
    socket.pause()
    if (received.length > length) socket.unshift(received.subarray(length))
    done(received.subarray(0, length))
  }
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk])
    if (received.length >= length) finish()
  }
  const cleanUp = (): void => clearTimeout(timer)
  const timer = setTimeout(() => socket.destroy(), BODY_TIMEOUT_MS)
  if (received.length >= length) finish()
  else socket.on('data', onData).once('close', cleanUp)
}

/**
 * Takes the connection from the HTTP server. For an upgraded request the socket is free already; for an ordinary one
 * (clients that never send `Upgrade`) the parser is taken off, as Go's http.Hijacker does. The caller writes the header.
 */
export function takeOver(request: IncomingMessage, response: ServerResponse): Socket {
  const { socket } = request
  if (!isUpgrade(request)) {
    socket.removeAllListeners('data')
    socket.removeAllListeners('end')
    // Node's parser reads straight from the handle until somebody else listens for data.
    const nothing = (): void => undefined
    socket.on('data', nothing).off('data', nothing).pause()
    socket.on('error', () => socket.destroy())
    socket.setTimeout(0)
  }
  response.detachSocket(socket)
  return socket
}
