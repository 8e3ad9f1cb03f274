import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { CHANNEL } from '../../shared/streams/index.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'

/** What happens when one side goes away in the middle. */
const open = (gateway: TestGateway, method: string, path: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request({ socketPath: gateway.socket, method, path, agent: false }, resolve).on('error', reject).end()
  })

test('a stop finishes requests that end by themselves, and ends streams', { timeout: 10_000 }, async () => {
  let asked: (() => void) | undefined
  const arrived = new Promise<void>((resolve) => (asked = resolve))
  const gateway = await startTestGateway({
    network: {
      'network.inspect': async () => {
        asked?.()
        await new Promise((resolve) => setTimeout(resolve, 200))
        return { Name: 'slow' }
      },
    },
    engine: {
      'container.attach': async () => ({
        tty: true,
        stream: gateway.offer((c) => new Promise((resolve) => c.closed.addEventListener('abort', () => resolve()))),
      }),
    },
    events: async function* (q) {
      await new Promise<void>((resolve) => q.signal.addEventListener('abort', () => resolve()))
      yield* []
    },
  })
  const events = await open(gateway, 'GET', '/events')
  const eventsEnded = new Promise<void>((resolve) => events.on('close', resolve))
  events.on('error', () => undefined).resume()
  const attached = connect(gateway.socket)
  attached.write(
    'POST /containers/c/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  )
  await once(attached, 'data')
  const attachedEnded = once(attached.resume(), 'close')
  const slow = gateway.send('GET', '/networks/slow')
  await arrived
  const started = Date.now()
  await gateway.stop()
  assert.equal((await slow).status, 200)
  await eventsEnded
  await attachedEnded
  assert(Date.now() - started < 3_000)
})

test('an upload that breaks off is cancelled, not taken for whole', { timeout: 10_000 }, async () => {
  let outcome: ((text: string) => void) | undefined
  const ended = new Promise<string>((resolve) => (outcome = resolve))
  const gateway = await startTestGateway({
    storage: {
      'image.load': async () => ({
        stream: gateway.offer(async (connection) => {
          try {
            for await (const { eof } of connection.frames) if (eof) outcome?.('whole')
            outcome?.('ended')
          } catch {
            outcome?.('cancelled')
          }
        }),
      }),
    },
  })
  try {
    const socket = connect(gateway.socket)
    socket.write('POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\nhalf of it')
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    assert.equal(await ended, 'cancelled')
  } finally {
    await gateway.stop()
  }
})

test('a client that leaves a long log cancels it', { timeout: 10_000 }, async () => {
  let left: (() => void) | undefined
  const gone = new Promise<void>((resolve) => (left = resolve))
  const gateway = await startTestGateway({
    engine: {
      'container.logs': async () => ({
        tty: false,
        stream: gateway.offer(async (connection) => {
          while (!connection.closed.aborted) {
            await connection.send(CHANNEL.stdout, Buffer.alloc(10_000))
            await new Promise((resolve) => setImmediate(resolve))
          }
          left?.()
        }),
      }),
    },
  })
  try {
    const reply = await open(gateway, 'GET', '/containers/c/logs?stdout=1&follow=1')
    await once(reply, 'data')
    reply.destroy()
    await gone
  } finally {
    await gateway.stop()
  }
})

test('an image archive that fails on the way does not look whole', { timeout: 10_000 }, async () => {
  const gateway = await startTestGateway({
    storage: {
      'image.save': async () => ({
        stream: gateway.offer(async (connection) => {
          await connection.send(CHANNEL.stdout, Buffer.alloc(1000))
          await new Promise((resolve) => setTimeout(resolve, 20))
          throw new Error('the disk is broken')
        }),
      }),
    },
  })
  try {
    await assert.rejects(gateway.send('GET', '/images/get?names=a'), /aborted|ECONNRESET|hang up/)
  } finally {
    await gateway.stop()
  }
})

test('a connection is used again after an error', async () => {
  const gateway = await startTestGateway({})
  try {
    const socket = connect(gateway.socket)
    const ask = async (text: string): Promise<string> => {
      socket.write(text)
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      return chunk.toString()
    }
    assert.match(await ask('GET /nope HTTP/1.1\r\nHost: d\r\n\r\n'), /^HTTP\/1\.1 404/)
    const bad =
      'POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{bad'
    assert.match(await ask(bad), /^HTTP\/1\.1 400[^]*invalid JSON/)
    assert.match(await ask('GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n'), /^HTTP\/1\.1 200/)
    socket.destroy()
  } finally {
    await gateway.stop()
  }
})
