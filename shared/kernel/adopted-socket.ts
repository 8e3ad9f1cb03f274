import { closeSync } from 'node:fs'
import { Socket, type SocketConstructorOpts } from 'node:net'
import { errno, libc, syscallFn, SystemError } from './libc.ts'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000

const dup3 = syscallFn('int dup3(int oldfd, int newfd, int flags)')
const socketpair = libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *fds)') as (
  domain: number,
  type: number,
  protocol: number,
  fds: number[],
) => number

/**
 * A `net.Socket` on a socket of a kind that Node does not know: packets, netlink. Node knows stream sockets only, so it is made on one end of
 * a stream pair, whose number then becomes a duplicate of `fd` (dup3) before the event loop has seen it: libuv's read, write and
 * shutdown are the same for both. `fd` has to be non-blocking, and stays the caller's to close.
 */
export function adoptSocket(fd: number, options: SocketConstructorOpts): Socket {
  const pair = [-1, -1]
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) === -1) throw new SystemError('socketpair', errno())
  const [mine, other] = pair as [number, number]
  try {
    const stream = new Socket({ ...options, fd: mine })
    try {
      dup3(fd, mine, SOCK_CLOEXEC)
    } catch (error) {
      stream.destroy()
      throw error
    }
    return stream
  } finally {
    closeSync(other)
  }
}
