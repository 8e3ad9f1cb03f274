import { closeSync, linkSync, openSync, readFileSync, statSync } from 'node:fs'
import type { OutputChunk, OutputReader, StdioConnection } from '../drivers/exec.ts'
import { internal } from '../errors/index.ts'
import { isCode } from '../kernel/libc.ts'
import { RecordDecoder } from './log/records.ts'
import { readLog } from './log/reader.ts'

/** At least a pipe's content twice (stdout and stderr), each byte a line of its own with its time stamp. */
const LOG_BYTES = 8 * 1024 * 1024

const EVERYTHING = { stdout: true, stderr: true, since: 0, until: 0, tail: -1, timestamps: false, details: '' }

/** conmon's arguments for the log of a session that a client is attached to: when it is full, a new file takes its place. */
export const sessionLogArgs = (path: string): readonly string[] => [
  ...['-l', `k8s-file:${path}`],
  ...['--log-size-max', String(LOG_BYTES)],
]

const beginning = (path: string): string => `${path}.begin`

/** To be called before the process runs: marks the file that is the log's beginning. */
export function keepBeginning(path: string): void {
  try {
    linkSync(path, beginning(path))
  } catch (error) {
    // Without the mark the log is no whole one.
    if (!isCode(error, 'ENOENT', 'EEXIST')) throw error
  }
}

/** Reads a session's log; undefined when there is none, or its beginning is not in it any more. Its reader throws when that has gone since. */
export function sessionLogReader(path: string): OutputReader | undefined {
  if (!isWhole(path)) return undefined
  return async function* (ended, cancelled) {
    if (!isWhole(path)) throw internal(`more was written than the log keeps (${LOG_BYTES} bytes)`)
    yield* readLog(path, { ...EVERYTHING, follow: ended, cancelled })
  }
}

function isWhole(path: string): boolean {
  const inode = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.ino
  const first = inode(beginning(path))
  return first !== undefined && inode(path) === first
}

/**
 * A connection that was made before the process ran, without its gap: conmon accepts connections in its main loop, and of a process that
 * has ended before conmon comes to that (a quick one, on a busy machine) it drains the pipes with nobody to send the output to. That
 * output is whole in the log.
 */
export function withEarlyOutput(stdio: StdioConnection, log: string): StdioConnection {
  let fd: number | undefined
  try {
    // Opened now: when the output has ended, the session's directory may be gone.
    fd = openSync(log, 'r')
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
  const close = (): void => {
    if (fd !== undefined) closeSync(fd)
    fd = undefined
    stdio.close()
  }
  async function* output(): AsyncGenerator<OutputChunk> {
    let any = false
    for await (const chunk of stdio.output) {
      any = true
      yield chunk
    }
    if (any || fd === undefined) return
    yield* new RecordDecoder(EVERYTHING).decode(readFileSync(fd))
  }
  return {
    get output() {
      return output()
    },
    write: (data) => stdio.write(data),
    closeStdin: () => stdio.closeStdin(),
    close,
  }
}
