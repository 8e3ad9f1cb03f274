import { basename, dirname, join } from 'node:path'
import type { DriverState } from '../drivers/index.ts'
import { conflict, forbidden, type GantryError, internal, invalid, notFound } from '../errors/index.ts'
import { type CgroupFs, isGone } from '../kernel/cgroupfs.ts'

/** One value to be written to one file of a group. */
export interface LimitWrite {
  /** The option as users know it, for messages. */
  readonly option: string
  /** Absolute. */
  readonly file: string
  readonly value: string
  /** What to write to get back to where `text` (the file's content) says we are. Default: the text itself. */
  readonly restore?: (text: string) => string
}

/** What a file of a group said. */
export interface KeptValue {
  /** Absolute. */
  readonly file: string
  readonly value: string
}

const presentValue = (fs: CgroupFs, write: LimitWrite): string => {
  const text = fs.read(write.file)
  return write.restore ? write.restore(text) : text.trim()
}

/** For the service to keep. */
export const stateOf = (values: readonly KeptValue[]): DriverState => ({ version: 1, values })
export const valuesOf = (state: DriverState): readonly KeptValue[] => state['values'] as readonly KeptValue[]

/** What the writes would change, as it is now, in their order. */
export function keepValues(fs: CgroupFs, writes: readonly LimitWrite[]): KeptValue[] {
  return writes.flatMap((write) => {
    try {
      const value = presentValue(fs, write)
      return value === write.value ? [] : [{ file: write.file, value }]
    } catch (error) {
      throw explain(fs, write, error, [])
    }
  })
}

/** Puts back what `keepValues` found, last first. Files that are gone had a group that is gone. */
export function restoreValues(fs: CgroupFs, kept: readonly KeptValue[]): void {
  const failed = putBack(fs, kept)
  if (failed.length > 0) throw internal(failed.join('; '))
}

/**
 * Writes in order. With `undo`, all or none: what a file said before is put back, last first, when a later one fails; and a
 * value that is there already is not written again. Throws `invalid` for what the kernel refuses, `conflict` for what it cannot do now
 * (a memory limit below what is in use), `not-found` when the group is gone.
 */
export function applyWrites(fs: CgroupFs, writes: readonly LimitWrite[], undo: boolean): void {
  const done: KeptValue[] = []
  for (const write of writes) {
    try {
      if (undo) {
        const value = presentValue(fs, write)
        if (value === write.value) continue
        fs.write(write.file, write.value)
        done.push({ file: write.file, value })
      } else {
        fs.write(write.file, write.value)
      }
    } catch (error) {
      const failed = putBack(fs, done)
      throw explain(fs, write, error, failed)
    }
  }
}

function putBack(fs: CgroupFs, done: readonly KeptValue[]): string[] {
  const failed: string[] = []
  for (const { file, value } of [...done].reverse()) {
    try {
      fs.write(file, value)
    } catch (error) {
      if (isGone(error) && !fs.exists(dirname(file))) continue
      failed.push(`${basename(file)} could not be put back to ${value} (${(error as Error).message})`)
    }
  }
  return failed
}

function explain(fs: CgroupFs, write: LimitWrite, error: unknown, failed: readonly string[]): GantryError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  const what = `${write.option}: the kernel refuses "${write.value}" for ${write.file} (${code})`
  const also = failed.length > 0 ? `; ${failed.join('; ')}` : ''
  switch (code) {
    case 'EINVAL':
    case 'ERANGE':
    case 'EOVERFLOW':
      return invalid(`${what}: it is out of range, or does not fit the parent's or the other limits${also}`, {
        cause: error,
      })
    case 'EBUSY':
    case 'ENOSPC':
    case 'ENOMEM':
      return conflict(`${what}: more than that is in use${also}`, { cause: error })
    case 'ENOENT':
      return notFound(`${write.option}: there is no ${write.file}${also}`, { cause: error })
    case 'ENODEV':
      return write.option.startsWith('device') || write.option.startsWith('blkio')
        ? invalid(`${what}: no such device${also}`, { cause: error })
        : notFound(`${write.option}: the group of ${write.file} is gone${also}`, { cause: error })
    case 'ENOTSUP': // Node's name for EOPNOTSUPP
    case 'EOPNOTSUPP':
      return invalid(
        write.option.startsWith('blkio')
          ? `${what}: the I/O scheduler of the device has no such limit (weights need bfq)${also}`
          : `${what}: this kernel does not support it${also}`,
        { cause: error },
      )
    case 'EACCES':
      // v1's word for CPUs or memory nodes that the group above has not got (kernel/cgroup/cpuset-v1.c, cpuset1_validate_change).
      if (write.option.startsWith('cpuset')) {
        return invalid(`${what}: the parent group has ${parentsValue(fs, write.file)}${also}`, { cause: error })
      }
      return forbidden(`${what}: is the cgroup file system writable here?${also}`, { cause: error })
    case 'EPERM':
    case 'EROFS':
      return forbidden(`${what}: is the cgroup file system writable here?${also}`, { cause: error })
    default:
      return internal(`${what}${also}`, { cause: error })
  }
}

function parentsValue(fs: CgroupFs, file: string): string {
  const above = join(dirname(dirname(file)), basename(file))
  return fs.exists(above) ? `"${fs.read(above).trim()}"` : 'others'
}

/** `restore` for a file with one line a device (`8:0 1048576`): its line, or what takes the limit away. */
export const deviceLine =
  (device: string, absent: string) =>
  (text: string): string => {
    const rest = keyedLine(text, device)
    return `${device} ${rest ?? absent}`
  }

/** What follows `key` and a blank at the start of a line. */
export function keyedLine(text: string, key: string): string | undefined {
  for (const line of text.split('\n')) if (line.startsWith(`${key} `)) return line.slice(key.length + 1).trim()
  return undefined
}
