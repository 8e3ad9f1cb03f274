import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { libc, syscallFn, SystemError, errno } from './libc.ts'

const O_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000

const pipe2 = libc.func('int pipe2(_Out_ int *fds, int flags)') as (fds: number[], flags: number) => number
const eventfd = syscallFn('int eventfd(unsigned int initial, int flags)')
const dup3 = syscallFn('int dup3(int oldfd, int newfd, int flags)')

export interface EventFd {
  /** To be handed to the kernel. */
  readonly fd: number
  close(): void
}

/**
 * An eventfd(2) on Node's own event loop: `signalled` is called after each write to it, writes in quick succession count as one. It
 * costs no thread and no polling. Does not keep the process alive.
 *
 * Node polls pipes but has no call to poll a descriptor of another kind. So the socket is made on a pipe, and the pipe's number
 * then becomes the eventfd (dup3), before the loop has seen it; what Node reads from it are the eventfd's eight bytes.
 */
export function openEventFd(signalled: () => void): EventFd {
  const pipe = [-1, -1]
  if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) === -1) throw new SystemError('pipe2', errno())
  const [fd, writeEnd] = pipe as [number, number]
  const socket = new Socket({ fd, readable: true, writable: false })
  try {
    const event = eventfd(0, O_CLOEXEC | O_NONBLOCK)
    try {
      dup3(event, fd, O_CLOEXEC)
    } finally {
      closeSync(event)
    }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    closeSync(writeEnd)
  }
  socket.unref()
  socket.on('data', signalled)
  socket.on('error', () => socket.destroy())
  return { fd, close: () => void socket.destroy() }
}
