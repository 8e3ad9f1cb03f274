import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, rmdirSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { offload } from '../../../shared/kernel/offload.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { TarParser } from '../tar/parser.ts'
import { SplitWriter } from '../tar/split.ts'
import { decompressed } from './decompress.ts'
import { Extractor } from './extractor.ts'
import { createPipe, readPipe } from './pipe.ts'
import type { DiffFormat } from './whiteouts.ts'

export interface ExtractRequest {
  /** Directory to extract into. */
  readonly root: string
  readonly format: DiffFormat
  /** New file for what is not content (tar/split.ts). */
  readonly split: string
  /** Directory, made when needed, for replaced files. */
  readonly replaced: string
  /** Refuse an archive without end marker. */
  readonly strict: boolean
}

export interface ExtractResult {
  /** Digest of the uncompressed archive, `sha256:<hex>`. */
  readonly diffId: string
  /** Bytes of the uncompressed archive. */
  readonly tarSize: number
  /** Bytes of the files in it. */
  readonly size: number
}

/** Extracts an archive, compressed or not, on a worker thread. A failure leaves half an archive: the caller removes the layer. */
export async function extract(
  request: ExtractRequest,
  source: AsyncIterable<Uint8Array> | string,
): Promise<ExtractResult> {
  if (typeof source === 'string') return offload(import.meta.url, 'extractFile', [request, source])
  const { port, pump } = createPipe()
  const result = offload<ExtractResult>(import.meta.url, 'extractPipe', [request], port)
  // Not waited for: when extracting fails, a source that is slow must not delay the answer.
  void pump(source)
  return result
}

export const extractFile = (request: ExtractRequest, path: string): Promise<ExtractResult> =>
  extractHere(request, createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>)

export const extractPipe = (request: ExtractRequest, port: MessagePort): Promise<ExtractResult> =>
  extractHere(request, readPipe(port))

/** The work itself, on the calling thread. */
export async function extractHere(request: ExtractRequest, source: AsyncIterable<Buffer>): Promise<ExtractResult> {
  mkdirSync(request.replaced, { recursive: true, mode: 0o700 })
  const split = new SplitWriter(request.split)
  try {
    const extractor = new Extractor({ ...request, split })
    try {
      const parser = new TarParser(extractor)
      const hash = createHash('sha256')
      let tarSize = 0
      for await (const chunk of decompressed(source)) {
        hash.update(chunk)
        tarSize += chunk.length
        parser.write(chunk)
      }
      parser.end(request.strict)
      extractor.finish()
      return { diffId: `sha256:${hash.digest('hex')}`, tarSize, size: extractor.size }
    } finally {
      extractor.close()
    }
  } finally {
    split.close()
    removeIfEmpty(request.replaced)
  }
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!isCode(error, 'ENOTEMPTY')) throw error
  }
}
