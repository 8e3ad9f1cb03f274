import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { invalid, isKind } from '../../../shared/errors/index.ts'
import { createPipe, readPipe } from './pipe.ts'

async function* from(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

describe('pipe between threads', () => {
  it('carries bytes in order, whatever their pieces', async () => {
    const bytes = randomBytes(9_000_000)
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const size = randomInt(1, 600_000)
      chunks.push(bytes.subarray(at, at + size))
      at += size
    }
    const { port, pump } = createPipe()
    const pumping = pump(from(...chunks))
    const read: Buffer[] = []
    for await (const piece of readPipe(port)) read.push(Buffer.from(piece))
    await pumping
    port.close()
    assert.ok(Buffer.concat(read).equals(bytes))
  })

  it('does not keep a small piece back', async () => {
    const { port, pump } = createPipe()
    let finish = (): void => undefined
    const source = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('first')
      await new Promise<void>((resolve) => (finish = resolve))
    }
    const pumping = pump(source())
    const reader = readPipe(port)
    const first = await reader.next()
    assert.ok(!first.done && first.value.equals(Buffer.from('first')))
    finish()
    assert.equal((await reader.next()).done, true)
    await pumping
    port.close()
  })

  it("throws the source's error with its kind", async () => {
    const { port, pump } = createPipe()
    const source = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(10)
      throw invalid('bad source')
    }
    void pump(source())
    const read = async (): Promise<void> => {
      for await (const piece of readPipe(port)) void piece
    }
    await assert.rejects(read(), (e: unknown) => isKind(e, 'invalid') && e.message === 'bad source')
    port.close()
  })

  it('ends when the reader is gone, with an endless source too', async () => {
    const { port, pump } = createPipe()
    const source = async function* (): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(100_000)
    }
    const pumping = pump(source())
    const reader = readPipe(port)
    await reader.next()
    port.close()
    await pumping
  })
})
