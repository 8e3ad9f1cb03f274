import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Frame, StreamConnection } from '../../../shared/streams/index.ts'
import { Attachment, type AttachmentOptions, type Input } from './attachment.ts'

class FakeStream implements StreamConnection {
  readonly sent: string[] = []
  readonly #over = new AbortController()
  readonly #frames: Frame[]
  readonly #hold: boolean

  /** With `hold` the client stays after its frames. */
  constructor(frames: Frame[], hold: boolean) {
    this.#frames = frames
    this.#hold = hold
  }
  get closed(): AbortSignal {
    return this.#over.signal
  }
  get frames(): AsyncIterable<Frame> {
    return this.#read()
  }
  async *#read(): AsyncGenerator<Frame> {
    yield* this.#frames
    if (this.#hold) await new Promise(() => undefined)
  }
  async send(channel: number, data: Uint8Array): Promise<void> {
    this.sent.push(`${channel}${Buffer.from(data).toString()}`)
  }
  async sendEof(): Promise<void> {}
  end(): void {
    this.#over.abort()
  }
  fail(): void {
    this.#over.abort()
  }
}

const options = (more: Partial<AttachmentOptions> = {}): AttachmentOptions => ({
  ...{ stdin: true, stdout: true, stderr: true, tty: false, detachKeys: '' },
  ...more,
})
const stdin = (text: string, eof = false): Frame => ({ channel: 0, data: Buffer.from(text), eof })

class FakeInput implements Input {
  readonly written: string[] = []
  closed = false
  readonly #stays: boolean
  constructor(stays: boolean) {
    this.#stays = stays
  }
  async write(data: Uint8Array): Promise<boolean> {
    this.written.push(Buffer.from(data).toString())
    return true
  }
  close(): boolean {
    this.closed = true
    return this.#stays
  }
}

const pending = Symbol('pending')
const state = async (promise: Promise<unknown>): Promise<unknown> => {
  await new Promise((resolve) => setImmediate(resolve))
  return Promise.race([promise.then(() => 'done'), Promise.resolve(pending)])
}

describe('attachment', () => {
  it('keeps output for a client that has not come yet, and input for a process that does not run yet', async () => {
    const attachment = new Attachment(options({ stderr: false }))
    const pushed = attachment.push({ channel: 1, data: Buffer.from('out') })
    await attachment.push({ channel: 2, data: Buffer.from('not wanted') })
    const stream = new FakeStream([stdin('in'), stdin('', true)], true)
    const served = attachment.serve(stream)
    await pushed
    assert.deepEqual(stream.sent, ['1out'])
    const input = new FakeInput(true)
    attachment.connectInput(input)
    assert.equal(await state(served), pending)
    assert.deepEqual([input.written, input.closed], [['in'], true])
    attachment.end()
    await served
  })

  it('ends with the input where the process keeps its stdin', async () => {
    const attachment = new Attachment(options())
    attachment.connectInput(new FakeInput(false))
    await attachment.serve(new FakeStream([stdin('x'), stdin('', true)], true))
  })

  it('ends when the client detaches or goes', async () => {
    const typed = new Attachment(options({ tty: true }))
    const input = new FakeInput(true)
    typed.connectInput(input)
    await typed.serve(new FakeStream([stdin('abc\x10'), stdin('\x11never')], true))
    assert.deepEqual([input.written.join(''), input.closed], ['abc', false])
    const gone = new Attachment(options({ stdin: false }))
    const stream = new FakeStream([], true)
    const served = gone.serve(stream)
    assert.equal(await state(served), pending)
    stream.fail()
    await served
  })

  it('lets output go on when nobody comes', async () => {
    const attachment = new Attachment(options())
    const pushed = attachment.push({ channel: 1, data: Buffer.from('out') })
    attachment.abandon()
    await pushed
  })
})
