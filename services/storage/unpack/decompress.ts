import { spawn } from 'node:child_process'
import type { Transform, Writable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { internal, invalid, unavailable, type GantryError } from '../../../shared/errors/index.ts'
import { installHint, type Tool } from './tools.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz'

const MAGIC: readonly (readonly [Compression, string])[] = [
  ['gzip', '1f8b08'],
  ['zstd', '28b52ffd'],
  ['bzip2', '425a68'],
  ['xz', 'fd377a585a00'],
]

const MAGIC_LENGTH = 6
const CHUNK = 256 * 1024

/** What the first bytes say. */
export function detectCompression(head: Buffer): Compression {
  const hex = head.toString('hex', 0, MAGIC_LENGTH)
  return MAGIC.find(([, magic]) => hex.startsWith(magic))?.[0] ?? 'none'
}

/**
 * The plain bytes of a stream that may be compressed (found by its first bytes), each piece good until the next is asked for. Damaged or cut input throws `invalid`.
 * gzip and zstd are decompressed here, bzip2 and xz by the tools of that name, since Node has neither.
 */
export async function* decompressed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]()
  let head: Buffer = Buffer.alloc(0)
  while (head.length < MAGIC_LENGTH) {
    const next = await iterator.next()
    if (next.done) break
    // A piece of the source is good until the next is asked for: a short one is copied.
    head = next.value.length >= MAGIC_LENGTH ? joined(head, next.value) : Buffer.concat([head, next.value])
  }
  const compression = detectCompression(head)
  const whole = prepend(head, iterator)
  if (compression === 'none') yield* whole
  else yield* through(compression, whole)
}

const joined = (a: Buffer, b: Buffer): Buffer => (a.length === 0 ? b : Buffer.concat([a, b]))

async function* prepend(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  for (;;) {
    const next = await rest.next()
    if (next.done) return
    yield next.value
  }
}

function through(compression: Compression, source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  switch (compression) {
    case 'gzip':
      return throughTransform(createGunzip({ chunkSize: CHUNK }), compression, source)
    case 'zstd':
      return throughTransform(createZstdDecompress({ chunkSize: CHUNK }), compression, source)
    case 'bzip2':
      return throughTool('bzip2', source)
    case 'xz':
      return throughTool('xz', source)
    case 'none':
      return source
  }
}

const damaged = (format: string, why: string): GantryError => invalid(`damaged or truncated ${format} data: ${why}`)

/** What went wrong on the way into a decoder; it comes before the decoder's own complaint, which follows from it. */
interface Fault {
  error?: Error
}

/** Writes a source into a decoder, until either ends. */
async function feed(source: AsyncIterable<Buffer>, into: Writable, fault: Fault): Promise<void> {
  // A decoder that fails ends its input: what it says itself counts, not that nobody reads any more.
  into.on('error', () => undefined)
  try {
    for await (const chunk of source) {
      // Until it is taken in, not just queued: the source uses the piece's memory again.
      if (!into.destroyed) await new Promise<void>((resolve) => into.write(chunk, () => resolve()))
      if (into.destroyed) return
    }
    into.end()
  } catch (error) {
    fault.error = error instanceof Error ? error : internal(String(error))
    into.destroy(fault.error)
  }
}

async function* throughTransform(
  decoder: Transform,
  name: string,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const fault: Fault = {}
  void feed(source, decoder, fault)
  try {
    for await (const chunk of decoder) yield chunk as Buffer
  } catch (error) {
    throw fault.error ?? damaged(name, (error as Error).message)
  }
}

/** `xz -dc` or `bzip2 -dc`. */
async function* throughTool(command: Tool, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const child = spawn(command, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => (complaint = (complaint + text.toString()).slice(-500)))
  const ended = new Promise<GantryError | undefined>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? unavailable(installHint(command)) : internal(`${command}: ${error.message}`)),
    )
    child.on('close', (code) =>
      resolve(code === 0 ? undefined : damaged(command, complaint.trim() || `exit status ${code}`)),
    )
  })
  try {
    const fault: Fault = {}
    void feed(source, child.stdin, fault)
    for await (const chunk of child.stdout) yield chunk as Buffer
    const failure = await ended
    if (failure) throw fault.error ?? failure
  } finally {
    child.kill()
  }
}
