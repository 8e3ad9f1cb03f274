import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { conflict } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import type { CreatedContainer } from '../../../shared/oci/runtime-driver.ts'

/**
 * What `crun start` does, without starting crun: a created container's init reads `exec.fifo`; a byte lets it go on, and the FIFO is
 * removed, by which crun knows a started container from a created one (libcrun status.c: libcrun_status_write_exec_fifo).
 */
export async function release({ id, runtimeRoot }: CreatedContainer): Promise<void> {
  const path = join(runtimeRoot, id, 'exec.fifo')
  let fd: number
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENXIO')) throw conflict('cannot start a container that has started or ended')
    throw error
  }
  try {
    rmSync(path, { force: true })
    writeSync(fd, '\0')
  } finally {
    closeSync(fd)
  }
}
