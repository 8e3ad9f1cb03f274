import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, isIP, Socket } from 'node:net'
import { withNetns } from '../../../shared/kernel/netns.ts'
import { bindSocket } from '../../../shared/kernel/sockets.ts'
import { Deframer, frame } from './frames.ts'
import { idOf, isReplyTo } from './messages.ts'

/** One server, as seen from a namespace; from the host's without one. */
export interface Destination {
  readonly server: string
  readonly port: number
  readonly netns?: string
}

const familyOf = (server: string): number => isIP(server.split('%')[0] ?? '')

/** A socket's place is where it was made: from then on it may be used from anywhere. */
const openIn = (netns: string, protocol: 'udp' | 'tcp', server: string): number =>
  withNetns(netns, () => bindSocket(protocol, familyOf(server) === 6 ? '::' : '0.0.0.0', 0))

function udpSocket({ server, netns }: Destination): UdpSocket {
  const type = familyOf(server) === 6 ? 'udp6' : 'udp4'
  if (netns === undefined) return createSocket(type)
  return createSocket(type).bind({ fd: openIn(netns, 'udp', server) })
}

function tcpSocket({ server, port, netns }: Destination): Socket {
  if (netns === undefined) return connect(port, server)
  // What node's own `connect` uses: else it would read at once, from a socket that is not connected yet.
  const options = { fd: openIn(netns, 'tcp', server), readable: true, writable: true, manualStart: true }
  return new Socket(options).connect(port, server)
}

/** A reply over UDP, or undefined when there is none in time. */
export async function askUdp(question: Buffer, to: Destination, patience: number): Promise<Buffer | undefined> {
  const socket = tried(() => udpSocket(to))
  if (!socket) return undefined
  return new Promise((resolve) => {
    const finish = (reply?: Buffer): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.close()
      resolve(reply)
    }
    const timer = setTimeout(finish, patience)
    socket.on('error', () => finish())
    socket.on('message', (reply) => {
      if (isReplyTo(reply, question, idOf(question))) finish(reply)
    })
    // Connected, so that only this server is heard, and a refusal (ICMP) is an error at once.
    // Without a route to it, the callback gets an error (which @types/node does not know).
    socket.connect(to.port, to.server, (...failure: unknown[]) => {
      if (failure[0] === undefined || failure[0] === null) socket.send(question)
      else finish()
    })
  })
}

/** A reply over TCP, or undefined when there is none in time. */
export async function askTcp(question: Buffer, to: Destination, patience: number): Promise<Buffer | undefined> {
  const socket = tried(() => tcpSocket(to))
  if (!socket) return undefined
  return new Promise((resolve) => {
    const frames = new Deframer()
    const finish = (reply?: Buffer): void => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => undefined)
      socket.destroy()
      resolve(reply)
    }
    const timer = setTimeout(finish, patience)
    socket.on('error', () => finish())
    socket.on('close', () => finish())
    socket.on('connect', () => socket.write(frame(question)))
    socket.on('data', (piece) => {
      const reply = frames.push(piece).find((message) => isReplyTo(message, question, idOf(question)))
      if (reply) finish(reply)
    })
  })
}

/** A namespace that is gone, no more open files: then there is no socket to ask with, which is no answer. */
function tried<T>(open: () => T): T | undefined {
  try {
    return open()
  } catch {
    return undefined
  }
}
