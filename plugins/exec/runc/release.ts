import { constants, openSync, readSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { conflict } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import type { CreatedContainer } from '../../../shared/oci/runtime-driver.ts'

/**
 * What `runc start` does, without the 5 to 8 ms of starting runc: a created container's init waits in opening `exec.fifo` for
 * writing; whoever opens it for reading lets it go on, it writes one byte, and the FIFO is removed, by which runc knows a
 * started container from a created one (libcontainer, container_linux.go: exec, handleFifoResult).
 */
export async function release({ id, runtimeRoot, exited }: CreatedContainer): Promise<void> {
  const path = join(runtimeRoot, id, 'exec.fifo')
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isCode(error, 'ENOENT')) throw conflict('cannot start a container that has started or ended')
    throw error
  }
  const fifo = new Socket({ fd, readable: true, writable: false })
  try {
    const told = new Promise<boolean>((resolve) => {
      fifo.once('data', () => resolve(true))
      fifo.once('end', () => resolve(false)).once('error', () => resolve(false))
    })
    // The init may have been killed while it waited; then nobody ever opens the other end. Or it ran and ended so fast that its byte is
    // still unread. An exit after this function is over must not read: the descriptor's number may by then be another start's FIFO.
    const byte = exited.then(() => !fifo.destroyed && readSync(fd, Buffer.alloc(1)) > 0)
    const started = await Promise.race([told, byte])
    if (!started) throw conflict('cannot start a container whose process has ended')
    rmSync(path, { force: true })
  } finally {
    fifo.destroy()
  }
}
