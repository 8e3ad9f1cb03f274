import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { adoptSocket } from './adopted-socket.ts'
import { syscallFn } from './libc.ts'

/**
 * What the kernel tells everybody: a netlink multicast group on Node's own event loop. It does not keep the process alive.
 */

const AF_NETLINK = 16
const SOCK_RAW = 3
const [SOCK_NONBLOCK, SOCK_CLOEXEC] = [0o4000, 0o2000000]
const [SOL_SOCKET, SO_RCVBUF, SO_RCVBUFFORCE] = [1, 8, 33]
const [SOL_NETLINK, NETLINK_ADD_MEMBERSHIP] = [270, 1]

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const setsockopt = syscallFn('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)')
const bind = syscallFn('int bind(int fd, const void *address, uint32_t length)')

/** A `struct sockaddr_nl` that lets the kernel choose a port: a socket without one is told nothing. */
const ANY_PORT = Buffer.alloc(12)
ANY_PORT.writeUInt16LE(AF_NETLINK)

export interface NetlinkGroup {
  close(): void
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

/**
 * Listens in the network namespace of the calling thread. `told` gets whole messages, one or more at once. `lost` is called when the
 * kernel told more than `receiveBuffer` (bytes) holds, or the socket broke: it is closed then.
 */
export function openNetlinkGroup(
  protocol: number,
  group: number,
  receiveBuffer: number,
  told: (messages: Buffer) => void,
  lost: () => void,
): NetlinkGroup {
  const stream = openStream(protocol, group, receiveBuffer)
  let closed = false
  stream.unref()
  stream.on('data', told)
  // ENOBUFS is an error of the stream, which ends with it.
  stream.on('error', () => undefined)
  stream.on('close', () => {
    if (!closed) lost()
  })
  return {
    close() {
      closed = true
      stream.destroy()
    },
  }
}

function openStream(protocol: number, group: number, receiveBuffer: number): Socket {
  const netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)
  try {
    setReceiveBuffer(netlink, receiveBuffer)
    bind(netlink, ANY_PORT, ANY_PORT.length)
    setsockopt(netlink, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group), 4)
    return adoptSocket(netlink, { readable: true, writable: false })
  } finally {
    closeSync(netlink)
  }
}

/** More than the host's maximum where this process may. */
function setReceiveBuffer(fd: number, size: number): void {
  try {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(size), 4)
  } catch {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, int(size), 4)
  }
}
