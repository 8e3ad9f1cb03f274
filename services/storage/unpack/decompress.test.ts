import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { isKind } from '../../../shared/errors/index.ts'
import { decompressed, detectCompression, type Compression } from './decompress.ts'

const plain = Buffer.concat([Buffer.alloc(300_000, 'abc'), randomBytes(200_000)])
const tool = (name: string): Buffer => execFileSync(name, ['-c'], { input: plain, maxBuffer: 1e8 })

const made: [Compression, Buffer][] = [
  ['none', plain],
  ['gzip', gzipSync(plain)],
  ['zstd', zstdCompressSync(plain, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })],
  ['bzip2', tool('bzip2')],
  ['xz', tool('xz')],
]

/** Pieces in one and the same memory, as the pipe between threads has them. */
async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  const memory = Buffer.alloc(size)
  for (let at = 0; at < bytes.length; at += size) {
    const n = bytes.copy(memory, 0, at, at + size)
    yield memory.subarray(0, n)
    memory.fill(0)
  }
}

async function read(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of decompressed(source)) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

describe('decompression', () => {
  for (const [name, bytes] of made) {
    it(`${name}: found by its first bytes, in pieces of any size`, async () => {
      assert.equal(detectCompression(bytes), name)
      for (const size of [1_000_000, 65_536, 999])
        assert.deepEqual(await read(pieces(bytes, size)), plain, String(size))
      assert.deepEqual(
        (await read(pieces(bytes.subarray(0, 3000), 1)).catch(() => plain)).subarray(0, 100),
        plain.subarray(0, 100),
      )
    })

    if (name === 'none') continue
    it(`${name}: cut or damaged input is invalid`, async () => {
      const damaged = Buffer.from(bytes)
      damaged.fill(0x55, 100_000, 101_000)
      for (const bad of [bytes.subarray(0, bytes.length - 20), bytes.subarray(0, 8), damaged]) {
        await assert.rejects(
          read(pieces(bad, 65_536)),
          (e: unknown) => isKind(e, 'invalid') && /damaged or truncated/.test(e.message),
        )
      }
    })

    it(`${name}: what the source throws is thrown on`, async () => {
      const source = async function* (): AsyncGenerator<Buffer> {
        yield bytes.subarray(0, 1000)
        throw new Error('the client went away')
      }
      await assert.rejects(read(source()), /the client went away/)
    })
  }

  it('gzip: several members are one stream', async () => {
    assert.deepEqual(await read(pieces(Buffer.concat([gzipSync('a'), gzipSync('b')]), 7)), Buffer.from('ab'))
  })

  it('an empty stream is empty', async () => assert.deepEqual(await read(pieces(Buffer.alloc(0), 1)), Buffer.alloc(0)))

  it('bad data is told even when the sender neither goes on nor ends', async () => {
    const source = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.concat([Buffer.from('1f8b0800', 'hex'), Buffer.alloc(100_000, 0x77)])
      await new Promise(() => undefined)
    }
    await assert.rejects(read(source()), (e: unknown) => isKind(e, 'invalid'))
  })
})
