import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OutputChunk, StdioConnection } from '../../../shared/drivers/index.ts'
import { StdioHub, type Listener } from './hub.ts'

/** A process's stdio that the test plays. */
class FakeStdio implements StdioConnection {
  readonly written: string[] = []
  stdinClosed = false
  closed = false
  #chunks: OutputChunk[] = []
  #wake: (() => void) | undefined
  #over = false

  get output(): AsyncIterable<OutputChunk> {
    return this.#read()
  }
  async *#read(): AsyncGenerator<OutputChunk> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk) yield chunk
      else if (this.#over) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
  emit(text: string): void {
    this.#chunks.push({ channel: 1, data: Buffer.from(text) })
    this.#wake?.()
  }
  end(): void {
    this.#over = true
    this.#wake?.()
  }
  async write(data: Uint8Array): Promise<boolean> {
    this.written.push(Buffer.from(data).toString())
    return true
  }
  closeStdin(): void {
    this.stdinClosed = true
  }
  close(): void {
    this.closed = true
    this.end()
  }
}

class Recorder implements Listener {
  text = ''
  ended = false
  gate: Promise<void> | undefined
  async push({ data }: OutputChunk): Promise<void> {
    this.text += Buffer.from(data).toString()
    await this.gate
  }
  end(): void {
    this.ended = true
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('stdio hub', () => {
  it('gives everybody the output, and the end after it', async () => {
    const stdio = new FakeStdio()
    const hub = new StdioHub(() => stdio, false)
    const [a, b] = [new Recorder(), new Recorder()]
    hub.add(a)
    hub.add(b)
    stdio.emit('x')
    stdio.emit('y')
    stdio.end()
    hub.close()
    assert.equal(a.ended, false)
    await settle()
    assert.deepEqual([a.text, a.ended, b.text, b.ended], ['xy', true, 'xy', true])
    const late = new Recorder()
    hub.add(late)
    assert.equal(late.ended, true)
    assert.equal(await hub.write(Buffer.from('z')), false)
  })

  it('waits for the slowest', async () => {
    const stdio = new FakeStdio()
    const hub = new StdioHub(() => stdio, false)
    const [slow, quick] = [new Recorder(), new Recorder()]
    const gate = Promise.withResolvers<void>()
    slow.gate = gate.promise
    hub.add(slow)
    hub.add(quick)
    stdio.emit('x')
    stdio.emit('y')
    await settle()
    assert.equal(quick.text, 'x')
    gate.resolve()
    await settle()
    assert.equal(quick.text, 'xy')
  })

  it('keeps its connection with stdinOnce, else leaves it with the last listener', async () => {
    for (const stdinOnce of [true, false]) {
      const made: FakeStdio[] = []
      const hub = new StdioHub(() => {
        const stdio = new FakeStdio()
        made.push(stdio)
        return stdio
      }, stdinOnce)
      const one = new Recorder()
      hub.add(one)
      hub.remove(one)
      assert.equal(made[0]?.closed, !stdinOnce)
      await settle()
      const two = new Recorder()
      hub.add(two)
      made.at(-1)?.emit('x')
      await settle()
      assert.deepEqual([made.length, one.text, two.text], [stdinOnce ? 1 : 2, '', 'x'])
      hub.closeStdin()
      assert.equal(made.at(-1)?.stdinClosed, stdinOnce)
    }
  })
})
