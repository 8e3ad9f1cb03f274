import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { internal } from '../../../shared/errors/index.ts'
import { AT_FDCWD, close, O, openat, openInRoot, toBytes } from '../../../shared/kernel/files.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { readSplit } from './split.ts'

const CHUNK = 256 * 1024

export interface LayerFiles {
  /** The layer's directory. */
  readonly root: string
  /** What was not content (split.ts). */
  readonly split: string
  /** Directory of files that the tar replaced itself; often missing. */
  readonly replaced: string
  readonly diffId: string
}

/**
 * A layer's tar, put together again: byte for byte what was extracted. When it is not (a file was changed or is missing), that is an
 * error before the last piece is out. Reads are synchronous and short; the consumer's waiting lets others go on.
 */
export function* assembleTar({ root, split, replaced, diffId }: LayerFiles): Generator<Buffer> {
  const hash = createHash('sha256')
  const aside = existing(replaced)
  const dir = openat(AT_FDCWD, toBytes(root), O.path | O.directory)
  let last: Buffer | undefined
  try {
    for (const piece of pieces()) {
      hash.update(piece)
      if (last) yield last
      last = piece
    }
  } finally {
    close(dir)
  }
  const digest = `sha256:${hash.digest('hex')}`
  if (digest !== diffId) throw internal(`layer ${diffId} is damaged: its files now make ${digest}`)
  if (last) yield last

  function* pieces(): Generator<Buffer> {
    for (const record of readSplit(split)) {
      if (record.kind === 'raw') yield record.bytes
      else if (aside.has(String(record.index)))
        yield* wholeFile(openSync(join(replaced, String(record.index)), 'r'), record)
      else yield* wholeFile(openFile(dir, record.path), record)
    }
  }
}

function existing(directory: string): Set<string> {
  try {
    return new Set(readdirSync(directory))
  } catch (error) {
    if (isCode(error, 'ENOENT')) return new Set()
    throw error
  }
}

function openFile(dir: number, path: string): number {
  try {
    return openInRoot(dir, path, O.rdonly | O.nofollow)
  } catch (error) {
    throw internal(`a layer is damaged: ${JSON.stringify(path)}: ${(error as Error).message}`, { cause: error })
  }
}

function* wholeFile(fd: number, { path, size }: { path: string; size: number }): Generator<Buffer> {
  try {
    if (fstatSync(fd).size !== size) throw internal(`a layer is damaged: ${JSON.stringify(path)} changed its size`)
    for (let left = size; left > 0;) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, left))
      const n = readSync(fd, buffer, 0, buffer.length, null)
      if (n === 0) throw internal(`a layer is damaged: ${JSON.stringify(path)} is cut short`)
      yield n === buffer.length ? buffer : buffer.subarray(0, n)
      left -= n
    }
  } finally {
    closeSync(fd)
  }
}
