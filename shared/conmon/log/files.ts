import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { isCode } from '../../kernel/libc.ts'

/** A log file that is open for reading. */
export interface LogSource {
  size(): number
  read(buffer: Buffer, position: number): number
  /** Inode number; 0 for one that was unpacked. */
  readonly inode: number
  close(): void
}

/** Opens a log file, plain or (`.gz`) compressed; undefined when it is not there. */
export function openLog(path: string): LogSource | undefined {
  if (path.endsWith('.gz')) return openCompressed(path)
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  return {
    size: () => fstatSync(fd).size,
    // Log files are in the page cache as a rule: a synchronous read takes microseconds, a trip to the thread pool more.
    read: (buffer, position) => readSync(fd, buffer, 0, buffer.length, position),
    inode: fstatSync(fd).ino,
    close: () => closeSync(fd),
  }
}

function openCompressed(path: string): LogSource | undefined {
  if (!existsSync(path)) return undefined
  const data = gunzipSync(readFileSync(path))
  return {
    size: () => data.length,
    read: (buffer, position) => data.copy(buffer, 0, position),
    inode: 0,
    close: () => undefined,
  }
}

/** A log's files, oldest first: `log.2.gz`, `log.1`, `log`. */
export function logFiles(path: string): string[] {
  const files = [path]
  for (let n = 1; ; n++) {
    const rotated = [`${path}.${n}`, `${path}.${n}.gz`].find((p) => existsSync(p))
    if (rotated === undefined) return files
    files.unshift(rotated)
  }
}
