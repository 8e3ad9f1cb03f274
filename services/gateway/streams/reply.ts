import type { Socket } from 'node:net'
import type { ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { takeOver, isUpgrade } from '../http/upgrade.ts'
import type { Call } from '../http/call.ts'
import { finish } from './write.ts'

/** Starts a reply that is written piece by piece; the header goes out at once. */
export function startReply(call: Call, mediaType: string): ServerResponse {
  call.openEnded = true
  call.reply.hijack()
  const { raw } = call.reply
  raw.writeHead(200, { 'Content-Type': mediaType })
  raw.flushHeaders()
  raw.on('error', () => raw.destroy())
  return raw
}

/** How long a client may take to close its side after the output has ended. */
const LINGER_MS = 10_000

/** Clients whose header reader keeps the bytes that follow the header. For others output is held back a little. */
const KEEPS_EARLY_BYTES = /^(Docker-Client|docker\/|Go-http-client|compose)/i
/** docker-py reads the header through a buffer of its own and the stream around it: what comes with the header is lost to it. */
const LOSES_EARLY_BYTES = /python/i
const HOLD_MS = 2
const LONG_HOLD_MS = 25

const holdFor = (userAgent: string): number => {
  if (LOSES_EARLY_BYTES.test(userAgent)) return LONG_HOLD_MS
  return KEEPS_EARLY_BYTES.test(userAgent) ? 0 : HOLD_MS
}

export interface Hijacked {
  readonly socket: Socket
  /** Milliseconds to wait before the first output. */
  readonly holdMs: number
}

/**
 * Turns the connection into a raw stream: `101 UPGRADED` for clients that asked for an upgrade, else `200 OK` without
 * length. What follows is sent apart from the header, since some clients lose what comes in one packet with it.
 */
export async function hijack(call: Call, mediaType: string): Promise<Hijacked> {
  const headers = Object.entries(call.reply.raw.getHeaders()).map(([name, value]) => `${name}: ${String(value)}`)
  const upgraded = isUpgrade(call.raw)
  call.openEnded = true
  call.reply.hijack()
  const socket = takeOver(call.raw, call.reply.raw)
  const start = upgraded
    ? ['HTTP/1.1 101 UPGRADED', 'Connection: Upgrade', 'Upgrade: tcp']
    : ['HTTP/1.1 200 OK', 'Connection: close']
  socket.write([...start, `Content-Type: ${mediaType}`, ...headers, '', ''].join('\r\n'))
  await nextTurn()
  const holdMs = holdFor(call.raw.headers['user-agent'] ?? '')
  return { socket, holdMs }
}

/** Ends a hijacked connection: output flushed, then the client has a while to close its side. */
export function hangUp(socket: Socket): void {
  if (socket.destroyed) return
  finish(socket)
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
