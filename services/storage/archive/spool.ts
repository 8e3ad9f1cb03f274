import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import { invalid } from '../../../shared/errors/index.ts'
import { offload } from '../../../shared/kernel/offload.ts'
import type { TarEntry, TarSink } from '../tar/entry.ts'
import { TarParser } from '../tar/parser.ts'
import { decompressed } from '../unpack/decompress.ts'
import { createPipe, readPipe } from '../unpack/pipe.ts'

/** Entries that an image archive may have: far more than any has. */
const MAX_ENTRIES = 100_000

/** A member of an archive. Its name is only a name: the content is in a numbered file. */
export interface SpooledEntry {
  readonly name: string
  readonly type: 'file' | 'symlink' | 'link'
  readonly linkname: string
  readonly size: number
  /** `sha256:<hex>` of the content. */
  readonly digest: string
  readonly path: string
}

/** Writes an archive's files into `directory`, on a worker thread: its parts refer to each other in any order. */
export async function spoolArchive(directory: string, source: AsyncIterable<Uint8Array>): Promise<SpooledEntry[]> {
  const { port, pump } = createPipe()
  const entries = offload<SpooledEntry[]>(import.meta.url, 'spoolPipe', [directory], port)
  // Not waited for: when the archive is bad, a source that is slow must not delay the answer.
  void pump(source)
  return entries
}

export async function spoolPipe(directory: string, port: MessagePort): Promise<SpooledEntry[]> {
  const spool = new Spool(directory)
  try {
    const parser = new TarParser(spool)
    for await (const chunk of decompressed(readPipe(port))) parser.write(chunk)
    parser.end(true)
    return spool.entries
  } finally {
    spool.close()
  }
}

class Spool implements TarSink {
  readonly entries: SpooledEntry[] = []
  readonly #directory: string
  #current: { entry: TarEntry; fd: number; hash: Hash; path: string } | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  raw(): void {}

  entry(entry: TarEntry): void {
    if (this.entries.length >= MAX_ENTRIES) throw invalid(`the archive has more than ${MAX_ENTRIES} entries`)
    const { name, type, linkname } = entry
    if (type === 'symlink' || type === 'link') {
      this.entries.push({ name, type, linkname, size: 0, digest: '', path: '' })
    } else if (type === 'file') {
      const path = join(this.#directory, String(this.entries.length))
      this.#current = { entry, path, hash: createHash('sha256'), fd: openSync(path, 'wx', 0o600) }
    }
  }

  data(bytes: Buffer): void {
    if (!this.#current) return
    this.#current.hash.update(bytes)
    for (let at = 0; at < bytes.length;) at += writeSync(this.#current.fd, bytes, at)
  }

  entryEnd(): void {
    if (!this.#current) return
    const { entry, hash, path } = this.#current
    const digest = `sha256:${hash.digest('hex')}`
    this.close()
    this.entries.push({ name: entry.name, type: 'file', linkname: '', size: entry.size, digest, path })
  }

  close(): void {
    if (this.#current) closeSync(this.#current.fd)
    this.#current = undefined
  }
}
