import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { internal } from '../../../shared/errors/index.ts'

/**
 * A layer is kept as its files, not as its tar. What else was in the tar (headers, padding) is kept beside it, so that the
 * tar can be put together again, byte for byte and with the same digest. The idea is Docker's tar-split; the form is ours:
 * blocks of `<u32 length><zstd frame>`, each frame holding whole records `<u8 kind><u32 length><bytes>`.
 */
export type SplitRecord =
  | { readonly kind: 'raw'; readonly bytes: Buffer }
  /** Content of the `index`-th file, at `path` (byte string) in the layer when it was extracted. */
  | { readonly kind: 'file'; readonly index: number; readonly size: number; readonly path: string }

const RAW = 0
const FILE = 1
const BLOCK = 512 * 1024

/** Writes a split file; synchronous, for the extracting thread. */
export class SplitWriter {
  readonly #fd: number
  #pending: Buffer[] = []
  #bytes = 0
  #files = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'wx', 0o600)
  }

  raw(bytes: Buffer): void {
    this.#record(RAW, bytes)
  }

  /** Answers the file's index. */
  file(path: string, size: number): number {
    const bytes = Buffer.alloc(8 + path.length)
    bytes.writeDoubleLE(size)
    bytes.write(path, 8, 'latin1')
    this.#record(FILE, bytes)
    return this.#files++
  }

  #record(kind: number, bytes: Buffer): void {
    const head = Buffer.alloc(5)
    head.writeUInt8(kind)
    head.writeUInt32LE(bytes.length, 1)
    // The caller's buffer may be reused: keep a copy.
    this.#pending.push(head, Buffer.from(bytes))
    this.#bytes += head.length + bytes.length
    if (this.#bytes >= BLOCK) this.#flush()
  }

  #flush(): void {
    if (this.#bytes === 0) return
    const frame = zstdCompressSync(Buffer.concat(this.#pending))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(frame.length)
    writeSync(this.#fd, Buffer.concat([length, frame]))
    this.#pending = []
    this.#bytes = 0
  }

  close(): void {
    try {
      this.#flush()
    } finally {
      closeSync(this.#fd)
    }
  }
}

function readExactly(fd: number, length: number, path: string): Buffer | undefined {
  const buffer = Buffer.alloc(length)
  const n = readSync(fd, buffer, 0, length, null)
  if (n === 0) return undefined
  if (n < length) throw internal(`${path} is cut short`)
  return buffer
}

/** Reads a split file, block by block. */
export function* readSplit(path: string): Generator<SplitRecord> {
  const fd = openSync(path, 'r')
  let index = 0
  try {
    for (;;) {
      const length = readExactly(fd, 4, path)?.readUInt32LE()
      if (length === undefined) return
      const frame = readExactly(fd, length, path)
      if (!frame) throw internal(`${path} is cut short`)
      const block = zstdDecompressSync(frame)
      for (let at = 0; at < block.length;) {
        const end = at + 5 + block.readUInt32LE(at + 1)
        const bytes = block.subarray(at + 5, end)
        if (block.readUInt8(at) === RAW) yield { kind: 'raw', bytes }
        else yield { kind: 'file', index: index++, size: bytes.readDoubleLE(), path: bytes.toString('latin1', 8) }
        at = end
      }
    }
  } finally {
    closeSync(fd)
  }
}
