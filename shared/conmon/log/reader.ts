import { watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { OutputChunk } from '../../drivers/exec.ts'
import type { LogQuery } from '../../drivers/log.ts'
import { logFiles, openLog, type LogSource } from './files.ts'
import { RecordDecoder } from './records.ts'
import { findTail, type TailStart } from './tail.ts'

const PIECE = 256 * 1024

/**
 * Reads a log that conmon writes to `path` (rotated files `path.1`, `path.2.gz`, ...): all of it or its tail, and what is added when
 * `query.follow` is there, through rotations, until that is aborted and all has been read.
 */
export async function* readLog(path: string, query: LogQuery): AsyncGenerator<OutputChunk> {
  const decoder = new RecordDecoder(query)
  const { current, older, start } = openAt(path, query)
  const reader = new FileReader(decoder, query)
  try {
    let from = start
    for (const file of older) {
      const source = file === path ? current : openLog(file)
      if (!source) continue
      try {
        yield* reader.read(source, from)
      } finally {
        if (source !== current) source.close()
      }
      from = undefined
    }
    if (query.follow) yield* follow(path, current, reader, query, query.follow)
  } finally {
    current?.close()
  }
}

/** Opens the current file and says which files to read, oldest first (the current one among them), and where in the first of them. */
function openAt(
  path: string,
  query: LogQuery,
): { current: LogSource | undefined; older: readonly string[]; start: TailStart | undefined } {
  const files = logFiles(path)
  const current = openLog(path)
  if (query.tail < 0) return { current, older: files, start: undefined }
  let missing = query.tail
  for (let at = files.length - 1; at >= 0; at--) {
    const file = files[at] ?? path
    const source = file === path ? current : openLog(file)
    const start = source
      ? findTail(source, missing, query, file !== path)
      : { offset: 0, skip: new Set<number>(), lines: 0 }
    if (source !== current) source?.close()
    missing -= start.lines
    if (missing <= 0 || at === 0) return { current, older: files.slice(at), start }
  }
  return { current, older: files, start: undefined }
}

/** Reads files to their ends, from where it was left. */
class FileReader {
  readonly #decoder: RecordDecoder
  readonly #query: LogQuery
  readonly #buffer = Buffer.allocUnsafe(PIECE)
  #position = 0
  #skip: ReadonlySet<number> | undefined

  constructor(decoder: RecordDecoder, query: LogQuery) {
    this.#decoder = decoder
    this.#query = query
  }

  get done(): boolean {
    return this.#decoder.done || this.#query.cancelled.aborted
  }

  /** A file from its beginning, or from where the tail begins. */
  async *read(source: LogSource, start?: TailStart): AsyncGenerator<OutputChunk> {
    this.#decoder.newFile()
    this.#position = start?.offset ?? 0
    this.#skip = start?.skip
    yield* this.more(source)
  }

  /** What was added to the file since. */
  async *more(source: LogSource): AsyncGenerator<OutputChunk> {
    while (!this.done) {
      const count = source.read(this.#buffer, this.#position)
      if (count === 0) return
      const chunks = this.#decoder.decode(this.#buffer.subarray(0, count), this.#position, this.#skip)
      this.#position += count
      yield* chunks
      if (count < PIECE) return
      // A long log must not keep the rest of the service waiting.
      await setImmediate()
    }
  }
}

async function* follow(
  path: string,
  current: LogSource | undefined,
  reader: FileReader,
  query: LogQuery,
  ended: AbortSignal,
): AsyncGenerator<OutputChunk> {
  const changes = new Changes(path, query, ended)
  let source = current
  try {
    for (;;) {
      // Looked at before reading: what is written before the end is then read.
      const last = ended.aborted
      if (source) yield* reader.more(source)
      const next = rotatedTo(path, source)
      if (next) {
        // conmon has closed the old file before the new one appeared: what it wrote there is complete.
        if (source) yield* reader.more(source)
        if (source !== current) source?.close()
        source = next
        yield* reader.read(source)
        continue
      }
      if (last || reader.done || (query.until > 0 && Date.now() / 1000 > query.until)) return
      await changes.next()
    }
  } finally {
    changes.close()
    if (source !== current) source?.close()
  }
}

/** The file that is at `path` now, if it is another one. */
function rotatedTo(path: string, source: LogSource | undefined): LogSource | undefined {
  const now = openLog(path)
  if (!now || now.inode === source?.inode) {
    now?.close()
    return undefined
  }
  return now
}

/** Wakes a follower when the log's directory changes, the process has ended, or nobody listens any more. */
class Changes {
  readonly #stop: (() => void)[] = []
  #changed = false
  #wake: (() => void) | undefined

  constructor(path: string, query: LogQuery, ended: AbortSignal) {
    const notify = (): void => {
      this.#changed = true
      this.#wake?.()
    }
    const name = basename(path)
    const watcher = watch(dirname(path), { persistent: false }, (_, file) => {
      if (file === null || file === name) notify()
    })
    watcher.on('error', notify)
    this.#stop.push(() => watcher.close())
    for (const signal of [ended, query.cancelled]) {
      signal.addEventListener('abort', notify)
      this.#stop.push(() => signal.removeEventListener('abort', notify))
    }
    if (query.until > 0) {
      const timer = setTimeout(notify, Math.max(0, query.until * 1000 - Date.now()) + 1)
      this.#stop.push(() => clearTimeout(timer))
    }
  }

  async next(): Promise<void> {
    if (!this.#changed) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#changed = false
    this.#wake = undefined
  }

  close(): void {
    for (const stop of this.#stop) stop()
  }
}
