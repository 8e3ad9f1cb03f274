import { closeSync, constants, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { basename, dirname } from 'node:path'
import { adoptSocket } from './adopted-socket.ts'
import { isCode, syscallFn } from './libc.ts'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const O_PATH = 0o10000000

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const connect = syscallFn('int connect(int fd, const void *address, uint32_t length)')
const recv = syscallFn('intptr_t recv(int fd, void *data, size_t length, int flags)')

/** All sockets read into it, one after the other: memory of its own for each small packet costs more than the packet does. */
const packetBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** The two halves of a connection. They fail apart: Node ends a socket that cannot write, with all that came and is not read yet. */
export interface PacketSocket {
  readonly reader: Socket
  /** Ends with the reader, if not before. Ended, the other side sees the end of what comes. */
  readonly writer: Socket
}

/**
 * Connects to a SOCK_SEQPACKET unix socket (unix(7)): each write is one packet as long as none waits (`writableLength` is 0; Node joins
 * what waits). Each packet that comes is given to `onPacket`, which has to copy what it keeps; there are no `data` events. Paused, the
 * reader stops reading: that is the back-pressure which the packet socket libraries of npm lack.
 *
 * The path may be longer than the 107 bytes that an address holds. Throws SystemError: ENOENT, ECONNREFUSED when nobody listens.
 */
export function connectSeqpacket(path: string, onPacket: (packet: Uint8Array) => void): PacketSocket {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    const dir = openSync(dirname(path), O_PATH | constants.O_DIRECTORY)
    try {
      const address = Buffer.from(`\0\0/proc/self/fd/${dir}/${basename(path)}\0`)
      address.writeUInt16LE(AF_UNIX, 0)
      connect(fd, address, address.length)
    } finally {
      closeSync(dir)
    }
    return halves(fd, onPacket)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function halves(fd: number, onPacket: (packet: Uint8Array) => void): PacketSocket {
  const callback = (length: number): boolean => {
    onPacket(packetBuffer.subarray(0, length))
    return true
  }
  const writer = adoptSocket(fd, { readable: false, writable: true })
  try {
    const onread = { buffer: packetBuffer, callback }
    const reader = adoptSocket(fd, { readable: true, writable: false, onread })
    reader.once('error', () => readRest(fd, callback))
    reader.once('close', () => {
      writer.destroy()
      closeSync(fd)
    })
    return { reader, writer }
  } catch (error) {
    writer.destroy()
    throw error
  }
}

/** The kernel tells that the other side has closed with input unread (ECONNRESET) before it gives what that had sent until then. */
function readRest(fd: number, take: (length: number) => void): void {
  try {
    for (let length; (length = recv(fd, packetBuffer, packetBuffer.length, 0)) > 0;) take(length)
  } catch (error) {
    if (!isCode(error, 'EAGAIN', 'ECONNRESET')) throw error
  }
}
