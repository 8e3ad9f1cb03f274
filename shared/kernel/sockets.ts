import { isIPv6 } from 'node:net'
import { addressBytes } from './inet.ts'
import { isCode, syscallFn } from './libc.ts'

/** Internet sockets as plain system calls: in another namespace between two `setns`, or just to see whether a port is free. */

const socket = syscallFn('int socket(int domain, int type, int protocol)')
const setsockopt = syscallFn('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)')
const bind = syscallFn('int bind(int fd, const void *address, uint32_t length)')
const listen = syscallFn('int listen(int fd, int backlog)')
const shutdown = syscallFn('int shutdown(int fd, int how)')
const getsockname = syscallFn('int getsockname(int fd, void *address, void *length)')
const close = syscallFn('int close(int fd)')

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000
const IPPROTO_SCTP = 132
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const SHUT_RD = 0
const OFF = Buffer.alloc(4)
const ON = Buffer.from([1, 0, 0, 0])

/** A `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)). */
function socketAddress(address: string, port: number): Buffer {
  const v6 = isIPv6(address)
  const out = Buffer.alloc(v6 ? 28 : 16)
  out.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0)
  out.writeUInt16BE(port, 2)
  out.set(addressBytes(address), v6 ? 8 : 4)
  return out
}

/**
 * A socket bound to an address (port 0: any) in the calling thread's network namespace: close-on-exec, not blocking, IPv6 without
 * IPv4. Stream sockets have SO_REUSEADDR (`reuse`), so that connections which only wait for their end are no hindrance. Throws SystemError:
 * EADDRINUSE, EADDRNOTAVAIL, EPROTONOSUPPORT.
 */
export function bindSocket(
  protocol: 'tcp' | 'udp' | 'sctp',
  address: string,
  port: number,
  reuse = protocol !== 'udp',
): number {
  const v6 = isIPv6(address)
  const type = (protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC_NONBLOCK
  const fd = socket(v6 ? AF_INET6 : AF_INET, type, protocol === 'sctp' ? IPPROTO_SCTP : 0)
  try {
    if (reuse) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON, ON.length)
    if (v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ON, ON.length)
    const name = socketAddress(address, port)
    bind(fd, name, name.length)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** The port that a socket is bound to. */
export function boundPort(fd: number): number {
  const name = Buffer.alloc(28)
  getsockname(fd, name, Buffer.from([name.length, 0, 0, 0]))
  return name.readUInt16BE(2)
}

/**
 * A socket that keeps an address and port from all others, bound as `bindSocket` does it, but not even another one with SO_REUSEADDR
 * can have its port, unless that too only wanted to keep it from processes that listen. TCP connections that only wait for their end
 * are no hindrance. Throws SystemError: EADDRINUSE, EADDRNOTAVAIL, EPROTONOSUPPORT.
 */
export function holdSocket(protocol: 'tcp' | 'udp' | 'sctp', address: string, port: number): number {
  try {
    return bindSocket(protocol, address, port, false)
  } catch (error) {
    if (protocol !== 'tcp' || !isCode(error, 'EADDRINUSE')) throw error
    return holdBesideWaiting(address, port)
  }
}

/**
 * With SO_REUSEADDR the kernel binds it where connections of the past wait for their end, but beside other such sockets too. Who listens
 * is alone, so it listens for a moment; shutting it down leaves it bound (inet_csk_listen_stop).
 */
function holdBesideWaiting(address: string, port: number): number {
  const fd = bindSocket('tcp', address, port)
  try {
    listen(fd, 0)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, OFF, OFF.length)
    shutdown(fd, SHUT_RD)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** Lets a held TCP socket listen beside connections that wait for their end, its own too. */
export const reuseAddress = (fd: number): void => {
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON, ON.length)
}

export const closeSocket = (fd: number): void => {
  close(fd)
}
