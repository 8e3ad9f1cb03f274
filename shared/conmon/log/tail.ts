import type { LogSource } from './files.ts'
import { channelAt, isPartial, TEXT_AT } from './records.ts'

const BLOCK = 128 * 1024
const NEWLINE = 0x0a
/** How far up the first part of a line is looked for. Nothing but an earlier record of its stream tells that a line has no more parts. */
const PARTS_WITHIN = 1 << 20

/** Where reading must begin to show the last lines, and which records from there on belong to earlier ones. */
export interface TailStart {
  readonly offset: number
  /** Offsets in the file. */
  readonly skip: ReadonlySet<number>
  /** Lines found; fewer than wanted when the file has no more. */
  readonly lines: number
}

/**
 * Finds the start of the last `wanted` lines of the streams asked for, reading from the end. A line that was written in parts is one
 * line; parts of the two streams may lie between each other. `continued`: a newer file follows, in which a line may end that begins here.
 */
export function findTail(
  source: LogSource,
  wanted: number,
  streams: { stdout: boolean; stderr: boolean },
  continued = false,
): TailStart {
  const skip = new Set<number>()
  /** By channel: a later record was seen, so that this one ends a line only if it is marked so. */
  const seen = [continued, continued, continued]
  /** By channel: lines that are shown have begun before what was read so far. */
  const unfinished = [continued, continued, continued]
  let lines = 0
  let offset = source.size()
  /** Where the wanted number was there. */
  let reached: number | undefined
  for (const record of recordsBackwards(source)) {
    const { channel } = record
    if (!(channel === 1 ? streams.stdout : streams.stderr)) continue
    const ends = !record.partial || !seen[channel]
    seen[channel] = true
    if (ends) unfinished[channel] = false
    if (ends && lines < wanted) {
      lines++
      unfinished[channel] = true
    }
    if (unfinished[channel]) offset = record.offset
    else skip.add(record.offset)
    if (lines === wanted) {
      reached ??= record.offset
      if ((!unfinished[1] && !unfinished[2]) || reached - record.offset > PARTS_WITHIN) break
    }
  }
  for (const each of skip) if (each < offset) skip.delete(each)
  return { offset, skip, lines }
}

interface FoundRecord {
  readonly offset: number
  readonly channel: 1 | 2
  readonly partial: boolean
}

function* recordsBackwards(source: LogSource): Generator<FoundRecord> {
  let position = source.size()
  /** Bytes from `position` on that begin with the rest of a record whose start is further up. */
  let carried: Buffer = Buffer.alloc(0)
  let first = true
  while (position > 0) {
    const length = Math.min(BLOCK, position)
    position -= length
    const block = Buffer.alloc(length)
    source.read(block, position)
    const data = carried.length === 0 ? block : Buffer.concat([block, carried])
    let end = data.length
    if (first) {
      // What follows the last newline is still being written.
      end = data.lastIndexOf(NEWLINE) + 1
      first = false
    }
    while (end > 0) {
      const before = end < 2 ? -1 : data.lastIndexOf(NEWLINE, end - 2)
      if (before === -1 && position > 0) break
      const start = before + 1
      if (end - start > TEXT_AT) {
        yield { offset: position + start, channel: channelAt(data, start), partial: isPartial(data, start) }
      }
      end = start
    }
    carried = data.subarray(0, end)
  }
}
