import { closeSync, constants, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { basename, dirname } from 'node:path'
import { adoptSocket } from './adopted-socket.ts'
import { syscallFn } from './libc.ts'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const O_PATH = 0o10000000

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const connect = syscallFn('int connect(int fd, const void *address, uint32_t length)')

/** All sockets read into it, one after the other: memory of its own for each small packet costs more than the packet does. */
const packetBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Connects to a SOCK_SEQPACKET unix socket (unix(7)) and gives it as an ordinary, half-open `net.Socket`: each write is one packet
 * as long as none waits (`writableLength` is 0; Node joins what waits). Each packet that comes is given to `onPacket`, which has to
 * copy what it keeps; there are no `data` events. Paused, the socket stops reading: that is the back-pressure which the packet
 * socket libraries of npm lack.
 *
 * The path may be longer than the 107 bytes that an address holds. Throws SystemError: ENOENT, ECONNREFUSED when nobody listens.
 */
export function connectSeqpacket(path: string, onPacket: (packet: Uint8Array) => void): Socket {
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
    const onread = {
      buffer: packetBuffer,
      callback: (length: number) => {
        onPacket(packetBuffer.subarray(0, length))
        return true
      },
    }
    return adoptSocket(fd, { readable: true, writable: true, allowHalfOpen: true, onread })
  } finally {
    closeSync(fd)
  }
}
