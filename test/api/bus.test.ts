import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { service } from '../../services/gateway/main.ts'
import { connectBus, type Bus, type Stoppable } from '../../shared/bus/index.ts'
import { startTestNats } from '../../shared/bus/testing.ts'
import { loadConfig } from '../../shared/config/index.ts'
import { engineContract, type EngineContract, type Handlers } from '../../shared/contracts/index.ts'
import { notFound, notImplemented } from '../../shared/errors/index.ts'
import { createLogger, currentTrace } from '../../shared/log/index.ts'
import { startService, type StartedService } from '../../shared/service/index.ts'
import { startRelay, Store } from '../../shared/store/index.ts'
import { CHANNEL, createStreamServer, type StreamServer } from '../../shared/streams/index.ts'

/** The gateway as it really runs: on NATS, JetStream and gRPC streams. The engine alone is a fake. */
const log = createLogger('test', 'silent')
const dir = mkdtempSync(join(tmpdir(), 'gantry-gw-bus-'))
const socketPath = join(dir, 'run', 'docker.sock')
let nats: Awaited<ReturnType<typeof startTestNats>>
let bus: Bus
let streams: StreamServer
let engine: Stoppable
let gateway: StartedService

const SIZE = 16 * 1024 * 1024
const fakes: Partial<Handlers<EngineContract>> = {
  'container.inspect': async ({ ref }) => {
    if (ref === 'nope') throw notFound(`No such container: ${ref}`)
    return { Id: ref, trace: currentTrace().traceparent }
  },
  'container.attach': async ({ ref }) => ({
    tty: false,
    stream: streams.offer(async (connection) => {
      if (ref === 'big') {
        for (let n = 0; n < SIZE; n += 65_536) await connection.send(CHANNEL.stdout, Buffer.alloc(65_536))
        return
      }
      for await (const { data, eof } of connection.frames) {
        if (eof) break
        await connection.send(CHANNEL.stdout, data)
      }
    }),
  }),
}
const handlers = Object.fromEntries(
  Object.keys(engineContract.verbs).map((verb) => [
    verb,
    (fakes as Record<string, unknown>)[verb] ??
      (async () => {
        throw notImplemented(verb)
      }),
  ]),
) as unknown as Handlers<EngineContract>

before(async () => {
  nats = await startTestNats()
  const credentials = { user: 'u', password: 'p' }
  const env = { GANTRY_ROOT: join(dir, 'root'), GANTRY_RUN: join(dir, 'run'), GANTRY_CONFIG: join(dir, 'none') }
  const config = { ...loadConfig(env), logLevel: 'silent' }
  bus = await connectBus({ url: nats.url, credentials, node: config.node, log })
  streams = await createStreamServer({ path: join(dir, 'streams.sock'), log })
  engine = await bus.serve(engineContract, handlers)
  gateway = await startService(service, { config, natsUrl: nats.url, credentials })
})
after(async () => {
  await gateway.stop()
  await engine.stop()
  await streams.close()
  await bus.close()
  await nats.stop()
  rmSync(dir, { recursive: true, force: true })
})

const get = (path: string, headers = {}): Promise<{ status: number | undefined; json: Record<string, unknown> }> =>
  new Promise((resolve, reject) => {
    request({ socketPath, path, headers, agent: false }, (reply) => {
      let text = ''
      reply.on('data', (chunk: Buffer) => (text += chunk.toString()))
      reply.on('end', () => resolve({ status: reply.statusCode, json: JSON.parse(text) as Record<string, unknown> }))
    })
      .on('error', reject)
      .end()
  })

test('a reply, an error, and the trace of the request', async () => {
  const traceparent = '00-11111111111111111111111111111111-2222222222222222-01'
  const { status, json } = await get('/containers/web/json', { traceparent })
  assert.equal(status, 200)
  assert.deepEqual(json, { Id: 'web', trace: traceparent })
  assert.match(String((await get('/containers/web/json')).json['trace']), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  assert.deepEqual(await get('/containers/nope/json'), { status: 404, json: { message: 'No such container: nope' } })
})

const attach = (ref: string): string =>
  `POST /containers/${ref}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`

test('stdio over gRPC: there and back, the end of stdin, much of it', async () => {
  const socket = connect({ path: socketPath, allowHalfOpen: true })
  socket.end(`${attach('echo')}there and back`)
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString()
  assert(text.endsWith('\0\0\0\x0ethere and back'))

  const big = connect({ path: socketPath, allowHalfOpen: true })
  big.write(attach('big'))
  let received = 0
  big.on('data', (chunk: Buffer) => (received += chunk.length))
  await once(big, 'end')
  big.destroy()
  assert(received > SIZE)
})

test('a service that restarts between is hardly noticed', async () => {
  await engine.stop()
  const answer = get('/containers/web/json')
  await new Promise((resolve) => setTimeout(resolve, 100))
  engine = await bus.serve(engineContract, handlers)
  assert.equal((await answer).status, 200)
})

test('events: of the past up to now, and live from the moment of the header', { timeout: 10_000 }, async () => {
  const store = new Store(':memory:', [], 'local')
  const relay = await startRelay(store, bus, log)
  const emit = (name: string): void =>
    store.transaction(() => store.emit({ type: 'container', action: 'start', id: 'c', attributes: { name } }))
  try {
    const live = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
      request({ socketPath, path: '/events', agent: false }, resolve).on('error', reject).end()
    })
    emit('one')
    const [chunk] = (await once(live, 'data')) as [Buffer]
    assert.match(chunk.toString(), /"name":"one"/)
    ;(live as unknown as { destroy(): void }).destroy()
    const since = (Date.now() / 1000 - 60).toFixed(3)
    const { json } = await get(`/events?since=${since}&until=${(Date.now() / 1000).toFixed(9)}`)
    assert.equal((json['Actor'] as { Attributes: { name: string } }).Attributes.name, 'one')
    const seq = (await get('/gantry/v1/events?after=0&until=now')).json['seq']
    assert.equal(seq, 1)
  } finally {
    await relay.stop()
    store.close()
  }
})

test('the frame answers health', () => {
  assert.deepEqual(gateway.health().warnings, [])
})
