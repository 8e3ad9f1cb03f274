import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { conflict, invalid } from '../errors/index.ts'
import { isCode } from '../kernel/libc.ts'

/** conmon's control messages: `type argument argument`. */
const RESIZE = 1
const REOPEN_LOG = 2
/** conmon refuses larger ones. */
const MAX_SIZE = 1000

/** Tells the shim behind a control FIFO the size of its terminal. */
export function resizeTerminal(fifo: string, rows: number, columns: number): void {
  if (rows < 0 || columns < 0) throw invalid(`a terminal of ${rows} rows and ${columns} columns is not possible`)
  tell(fifo, `${RESIZE} ${Math.min(rows, MAX_SIZE)} ${Math.min(columns, MAX_SIZE)}\n`)
}

/** Makes the shim close its log file and open a new one at the same path. */
export function reopenLog(fifo: string): void {
  tell(fifo, `${REOPEN_LOG} 0 0\n`)
}

function tell(fifo: string, message: string): void {
  let fd: number
  try {
    // Without O_NONBLOCK the open would wait for a reader that never comes when the shim is gone.
    fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isCode(error, 'ENXIO', 'ENOENT')) throw conflict('the process has ended')
    throw error
  }
  try {
    writeSync(fd, message)
  } finally {
    closeSync(fd)
  }
}
