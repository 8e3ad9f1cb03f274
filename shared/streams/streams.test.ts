import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { GantryError, conflict } from '../errors/index.ts'
import { createLogger } from '../log/index.ts'
import { closeStreamClients, createStreamServer, openStream, type StreamServer } from './index.ts'

let dir: string
let server: StreamServer
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gantry-streams-'))
  server = await createStreamServer({ path: join(dir, 's.sock'), log: createLogger('test', 'silent') })
})
after(async () => {
  closeStreamClients()
  await server.close()
  await rm(dir, { recursive: true })
})

test('bytes go there and back unharmed, whatever their number', async () => {
  const ref = server.offer(async (c) => {
    for await (const frame of c.frames) {
      if (frame.eof) break
      await c.send(1, frame.data)
    }
  })
  const sent = randomBytes(5_000_000)
  const client = openStream(ref)
  const sending = client.send(0, sent).then(() => client.sendEof(0))
  const hash = createHash('sha256')
  let length = 0
  for await (const frame of client.frames) {
    assert.equal(frame.channel, 1)
    hash.update(frame.data)
    length += frame.data.length
  }
  await sending
  assert.equal(length, sent.length)
  assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
})

test('an error of the server keeps its kind and words', async () => {
  const client = openStream(
    server.offer(async () => {
      throw conflict('taken by x', { details: { holder: 'x' } })
    }),
  )
  await assert.rejects(
    async () => {
      for await (const _ of client.frames);
    },
    (e: unknown) => e instanceof GantryError && e.kind === 'conflict' && e.message === 'taken by x',
  )
})

test('what was sent arrives, however quickly the server ends and whatever the client writes meanwhile', async () => {
  for (let i = 0; i < 100; i++) {
    const client = openStream(server.offer((c) => c.send(1, Buffer.from(`out ${i}`))))
    for (let n = 0; n < 20; n++) {
      await client.send(0, Buffer.from('in'))
      await turn()
    }
    await client.sendEof(0)
    let text = ''
    for await (const { data } of client.frames) text += Buffer.from(data).toString()
    assert.equal(text, `out ${i}`)
  }
})

test('a stream that breaks before it is read is no stream that has ended', async () => {
  const other = await createStreamServer({ path: join(dir, 'other.sock'), log: createLogger('test', 'silent') })
  const opened = Promise.withResolvers<void>()
  const client = openStream(
    other.offer(async (c) => {
      await c.send(1, Buffer.from('some'))
      opened.resolve()
      await new Promise(() => undefined)
    }),
  )
  await opened.promise
  await other.close()
  if (!client.closed.aborted) await once(client.closed, 'abort')
  await assert.rejects(
    async () => {
      for await (const _ of client.frames);
    },
    (e: unknown) => e instanceof GantryError && ['unavailable', 'cancelled'].includes(e.kind),
  )
})

test('a ticket opens a stream once', async () => {
  const ref = server.offer(async (c) => c.send(1, Buffer.from('x')))
  for await (const _ of openStream(ref).frames);
  await assert.rejects(async () => {
    for await (const _ of openStream(ref).frames);
  }, /ticket/)
})

test('a client that goes away is seen by the server', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const client = openStream(
    server.offer(async (c) => {
      c.closed.addEventListener('abort', () => resolve())
      await c.send(1, Buffer.from('hello'))
      await promise
    }),
  )
  await assert.rejects(async () => {
    for await (const _ of client.frames) client.fail(new Error('enough'))
  }, /cancelled/)
  await promise
})

test('streams do not hold each other up, nor does one that nobody reads', { timeout: 8_000 }, async () => {
  const LENGTH = 4_000_000
  const stalled = openStream(
    server.offer(async (c) => {
      while (!c.closed.aborted) await c.send(1, Buffer.alloc(100_000))
    }),
  )
  const echo = async (): Promise<void> => {
    const client = openStream(
      server.offer(async (c) => {
        for await (const { data, eof } of c.frames) {
          if (eof) break
          await c.send(1, data)
        }
      }),
    )
    const sending = client.send(0, Buffer.alloc(LENGTH)).then(() => client.sendEof(0))
    let length = 0
    for await (const { data } of client.frames) length += data.length
    await sending
    assert.equal(length, LENGTH)
  }
  await Promise.all(Array.from({ length: 5 }, echo))
  stalled.fail(new Error('enough'))
})

test('a sender waits for its reader, and what it sent before it failed arrives', async () => {
  let sent = 0
  const waits = Promise.withResolvers<void>()
  const client = openStream(
    server.offer(async (c) => {
      const timer = setInterval(() => waits.resolve(), 200)
      for (; sent < 50_000_000; sent += 500_000) {
        timer.refresh()
        await c.send(1, Buffer.alloc(500_000))
      }
      clearInterval(timer)
      throw conflict('no more')
    }),
  )
  const frames = client.frames[Symbol.asyncIterator]()
  const first = await frames.next()
  let length = first.done ? 0 : first.value.data.length
  await waits.promise
  assert.ok(sent < 20_000_000, `${sent} bytes were sent to nobody`)
  await assert.rejects(async () => {
    for (let next = await frames.next(); !next.done; next = await frames.next()) length += next.value.data.length
  }, /no more/)
  assert.equal(length, 50_000_000)
})
