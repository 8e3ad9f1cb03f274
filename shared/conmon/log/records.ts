import type { OutputChunk } from '../../drivers/exec.ts'

/**
 * conmon's log is in the format of Kubernetes' CRI, one record a line:
 *
 *     2026-11-21T01:59:35.883803549+00:00 stdout F text
 *
 * Time (35 characters, always UTC since the shim runs with TZ=UTC), stream, and `F` for the end of a line or `P` for a part of one that goes
 * on in the next record of the same stream. The offsets below are therefore fixed.
 */
const TIME_LENGTH = 35
/** The character that tells stdout from stderr: `stdOut`, `stdErr`. */
const STREAM_AT = TIME_LENGTH + 4
const TAG_AT = TIME_LENGTH + 8
export const TEXT_AT = TIME_LENGTH + 10

const NEWLINE = 0x0a
const LETTER_E = 0x65
const LETTER_P = 0x50
const LETTER_Z = 0x5a
const SPACE = 0x20

/** 1 stdout, 2 stderr. */
export const channelAt = (data: Uint8Array, record: number): 1 | 2 => (data[record + STREAM_AT] === LETTER_E ? 2 : 1)
/** Whether the line goes on in a later record. */
export const isPartial = (data: Uint8Array, record: number): boolean => data[record + TAG_AT] === LETTER_P

/** Seconds since the epoch of a record's time stamp. */
export function timeAt(data: Buffer, record: number): number {
  const digits = (at: number, count: number): number => {
    let value = 0
    for (let i = record + at; i < record + at + count; i++) value = value * 10 + ((data[i] ?? 48) - 48)
    return value
  }
  const whole = Date.UTC(digits(0, 4), digits(5, 2) - 1, digits(8, 2), digits(11, 2), digits(14, 2), digits(17, 2))
  return whole / 1000 + digits(20, 9) / 1e9
}

export interface RecordFilter {
  readonly stdout: boolean
  readonly stderr: boolean
  /** Seconds since the epoch; 0: no bound. */
  readonly since: number
  readonly until: number
  readonly timestamps: boolean
  readonly details: string
}

/**
 * Turns records into the bytes that the process wrote. Feed it the log in order; it keeps what it needs between pieces (an unfinished
 * record, unfinished lines).
 */
export class RecordDecoder {
  readonly #filter: RecordFilter
  readonly #details: Buffer
  readonly #timed: boolean
  readonly #prefixed: boolean
  #rest: Buffer = Buffer.alloc(0)
  /** By channel: whether the last record was a part, and whether its line is one that is shown. */
  readonly #open = [false, false, false]
  readonly #shown = [false, false, false]
  #done = false

  constructor(filter: RecordFilter) {
    this.#filter = filter
    this.#details = filter.details === '' ? Buffer.alloc(0) : Buffer.from(`${filter.details} `)
    this.#timed = filter.since > 0 || filter.until > 0
    this.#prefixed = filter.timestamps || this.#details.length > 0
  }

  /** A line later than `until` was met: nothing more will come. */
  get done(): boolean {
    return this.#done
  }

  /** Forgets an unfinished record: the next piece is from another file. */
  newFile(): void {
    this.#rest = Buffer.alloc(0)
  }

  /**
   * Decodes the next piece of the log, which begins at `base` in its file; the records that begin at the file offsets in `skip` are left
   * out. The piece may be reused afterwards.
   */
  decode(piece: Buffer, base = 0, skip?: ReadonlySet<number>): OutputChunk[] {
    const data = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const start = base - this.#rest.length
    let out = Buffer.allocUnsafe(data.length + 64)
    let used = 0
    let from = 0
    let channel: 1 | 2 = 1
    const chunks: OutputChunk[] = []
    const flush = (): void => {
      if (used > from) chunks.push({ channel, data: out.subarray(from, used) })
      from = used
    }
    let record = 0
    for (;;) {
      const end = data.indexOf(NEWLINE, record)
      if (end === -1) break
      const next = end + 1
      const text = record + TEXT_AT
      // A line that is too short is none of conmon's (the disk was full while it wrote).
      if (text <= end && !skip?.has(start + record)) {
        const where = channelAt(data, record)
        const partial = isPartial(data, record)
        const begins = !this.#open[where]
        if (begins) this.#shown[where] = this.#wanted(data, record, where)
        this.#open[where] = partial
        if (this.#done) break
        if (this.#shown[where]) {
          if (where !== channel) {
            flush()
            channel = where
          }
          const length = (partial ? end : next) - text
          const room = length + TIME_LENGTH + this.#details.length
          if (used + room > out.length) {
            flush()
            out = Buffer.allocUnsafe(Math.max(data.length - record, 64 * 1024) + room)
            used = from = 0
          }
          if (begins && this.#prefixed) used = this.#prefix(data, record, out, used)
          used = copy(data, text, length, out, used)
        }
      }
      record = next
    }
    flush()
    this.#rest = Buffer.from(data.subarray(record))
    return chunks
  }

  #wanted(data: Buffer, record: number, channel: 1 | 2): boolean {
    const { stdout, stderr, since, until } = this.#filter
    if (this.#timed) {
      const time = timeAt(data, record)
      if (until > 0 && time > until) {
        this.#done = true
        return false
      }
      if (time < since) return false
    }
    return channel === 1 ? stdout : stderr
  }

  #prefix(data: Buffer, record: number, out: Buffer, used: number): number {
    if (this.#filter.timestamps) {
      // `2026-11-21T01:59:35.883803549` without `+00:00`, as Docker shows it.
      used = copy(data, record, 29, out, used)
      out[used++] = LETTER_Z
      out[used++] = SPACE
    }
    return copy(this.#details, 0, this.#details.length, out, used)
  }
}

/** For a few bytes a loop is faster than a call into C++. */
function copy(from: Buffer, at: number, length: number, to: Buffer, used: number): number {
  if (length > 48) from.copy(to, used, at, at + length)
  else for (let i = 0; i < length; i++) to[used + i] = from[at + i] as number
  return used + length
}
