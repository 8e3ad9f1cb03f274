import { closeSync, openSync, readFileSync } from 'node:fs'
import type { OutputChunk, StdioConnection } from '../drivers/exec.ts'
import { isCode } from '../kernel/libc.ts'
import { RecordDecoder } from './log/records.ts'

/** A pipe's content twice (stdout and stderr), each byte a line of its own with its time stamp. */
const LOG_BYTES = 8 * 1024 * 1024

/** conmon's arguments for a log that `withEarlyOutput` can read. What is beyond its bound takes the place of what was before. */
export const earlyOutputLog = (path: string): readonly string[] => [
  ...['-l', `k8s-file:${path}`],
  ...['--log-size-max', String(LOG_BYTES)],
]

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
    const everything = { stdout: true, stderr: true, since: 0, until: 0, timestamps: false, details: '' }
    yield* new RecordDecoder(everything).decode(readFileSync(fd))
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
