import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { after, before, test } from 'node:test'
import type { EventMessage } from '../../shared/contracts/index.ts'
import { internal, invalid, unavailable } from '../../shared/errors/index.ts'
import { CHANNEL } from '../../shared/streams/index.ts'
import { startTestGateway, type Fakes, type TestGateway } from './gateway.ts'

const event = (seq: number, Type: string, Action: string, ID: string, Attributes = {}) => ({
  seq,
  messageId: String(seq),
  event: {
    Type,
    Action,
    Actor: { ID, Attributes },
    scope: 'local',
    time: 1000 + seq,
    timeNano: (1000 + seq) * 1e9,
    node: 'n',
  } as EventMessage,
})
const EVENTS = [
  event(1, 'container', 'create', 'c1', { name: 'web', image: 'busybox:1', a: 'b' }),
  event(2, 'container', 'health_status: healthy', 'c1', { name: 'web', image: 'busybox:1' }),
  event(3, 'network', 'connect', 'n1', { name: 'net', container: 'c1' }),
  event(4, 'image', 'tag', 'sha256:1', { name: 'busybox:1' }),
  event(5, 'container', 'die', 'c2', { name: 'db', image: 'other' }),
]
/** What the gateway asked the bus for. */
let query: Parameters<NonNullable<Fakes['events']>>[0]
let eventsEnded = Promise.resolve()

let gateway: TestGateway
/** Settles the container's wait. */
let waits: Array<() => Promise<{ done: boolean; ticket: string; exitCode?: number; error?: string }>> = []
let samples = 0
let sampled: string[] = []
const LONG = 5_000

before(async () => {
  gateway = await startTestGateway({
    events: async function* (q) {
      query = q
      let ended = (): void => undefined
      eventsEnded = new Promise((resolve) => (ended = resolve))
      if (q.afterSeq === 1000) {
        for (let i = 0; i < LONG; i++) {
          yield event(1001 + i, 'volume', 'create', `v${i}`)
          // The next one is there at times at once, at times later.
          if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        return
      }
      yield* EVENTS.filter(({ seq }) => q.afterSeq === undefined || seq > q.afterSeq)
      if (!q.until) await new Promise<void>((resolve) => q.signal.addEventListener('abort', () => resolve()))
      ended()
    },
    engine: {
      'container.logs': async ({ ref, ...rest }) => {
        if (ref === 'none') throw invalid('configured logging driver does not support reading')
        return {
          tty: ref.startsWith('tty'),
          stream: gateway.offer(async (connection) => {
            if (ref === 'asked') return connection.send(CHANNEL.stdout, Buffer.from(JSON.stringify(rest)))
            if (ref.endsWith('long')) {
              for (let i = 0; i < LONG; i++) await connection.send(CHANNEL.stdout, Buffer.alloc(1000, 'x'))
              return
            }
            await connection.send(CHANNEL.stdout, Buffer.from('out'))
            await connection.send(CHANNEL.stderr, Buffer.from('err'))
            if (ref === 'broken') throw internal('the disk is broken')
          }),
        }
      },
      'container.wait': async ({ ref, ticket }) => {
        if (ref === 'nope') throw invalid('nope')
        if (ticket === undefined) return { done: false, ticket: 't' }
        assert.equal(ticket, 't')
        const next = waits.shift()
        assert(next, 'one wait too many')
        return next()
      },
      'container.stats': async ({ ref }) => {
        sampled.push(ref)
        return { read: `r${++samples}`, id: 'i', name: '/web', cpu_stats: { n: samples } }
      },
    },
  })
})
after(() => gateway.stop())

/** Resolves with the reply as soon as its header is there. */
const open = (method: string, path: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request({ socketPath: gateway.socket, method, path, agent: false }, resolve).on('error', reject).end()
  })
const lines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
const actions = (text: string): string[] =>
  text.trim() === '' ? [] : (lines(text) as EventMessage[]).map((e) => e.Action)

test('logs: framed without a terminal, raw with one', async () => {
  const framed = await gateway.send('GET', '/containers/c/logs?stdout=1&stderr=1')
  assert.equal(framed.headers['content-type'], 'application/vnd.docker.multiplexed-stream')
  assert.equal(framed.text, '\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err')
  const raw = await gateway.send('GET', '/containers/tty/logs?stdout=1')
  assert.equal(raw.headers['content-type'], 'application/vnd.docker.raw-stream')
  assert.equal(raw.text, 'outerr')
})

test('logs: what is asked for', async () => {
  const query = 'stdout=1&since=1700000000.5&until=2023-11-14T22:13:21Z&tail=7&follow=1&timestamps=true&details=0'
  const { text } = await gateway.send('GET', `/containers/asked/logs?${query}`)
  assert.deepEqual(JSON.parse(text.slice(8)), {
    stdout: true,
    stderr: false,
    since: 1_700_000_000.5,
    until: 1_700_000_001,
    tail: 7,
    follow: true,
    timestamps: true,
    details: false,
  })
})

test('logs: a long one arrives whole, framed and raw', async () => {
  for (const [ref, overhead] of [
    ['long', 8],
    ['tty-long', 0],
  ] as const) {
    const { text } = await gateway.send('GET', `/containers/${ref}/logs?stdout=1`)
    assert.equal(text.length, LONG * (1000 + overhead))
  }
})

test('logs: errors before and after the header', async () => {
  const early = await gateway.send('GET', '/containers/none/logs?stdout=1')
  assert.equal(early.status, 400)
  const late = await gateway.send('GET', '/containers/broken/logs?stdout=1')
  const message = 'Error grabbing logs: the disk is broken\n'
  assert(late.text.endsWith(`\x03\0\0\0\0\0\0${String.fromCharCode(message.length)}${message}`))
})

test('wait: the header comes at once, the code when it is there; a restart of the engine is bridged', async () => {
  let finish: (() => void) | undefined
  waits = [
    async () => ({ done: false, ticket: 't' }),
    async () => {
      throw unavailable('the engine is not there', { cause: new Error('503') })
    },
    () => new Promise((resolve) => (finish = () => resolve({ done: true, ticket: 't', exitCode: 7 }))),
  ]
  const reply = await open('POST', '/containers/c/wait?condition=removed')
  assert.equal(reply.statusCode, 200)
  while (!finish) await new Promise((resolve) => setTimeout(resolve, 5))
  finish()
  const [chunk] = (await once(reply, 'data')) as [Buffer]
  assert.deepEqual(JSON.parse(chunk.toString()), { StatusCode: 7 })
})

test('wait: an error of the container is told, an unknown container is a status', async () => {
  waits = [async () => ({ done: true, ticket: 't', exitCode: 127, error: 'no such file' })]
  const { json } = await gateway.send('POST', '/containers/c/wait')
  assert.deepEqual(json, { StatusCode: 127, Error: { Message: 'no such file' } })
  assert.equal((await gateway.send('POST', '/containers/nope/wait')).status, 400)
})

test('stats: one shot, one sample with something to compare with, a stream', async () => {
  samples = 0
  sampled = []
  const shot = await gateway.send('GET', '/containers/c/stats?stream=0&one-shot=1')
  assert.deepEqual(shot.json, {
    read: 'r1',
    id: 'i',
    name: '/web',
    cpu_stats: { n: 1 },
    preread: '0001-01-01T00:00:00Z',
    precpu_stats: {
      cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
      throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
    },
  })
  const one = await gateway.send('GET', '/containers/c/stats?stream=false')
  assert.deepEqual(one.json, {
    read: 'r3',
    id: 'i',
    name: '/web',
    cpu_stats: { n: 3 },
    preread: 'r2',
    precpu_stats: { n: 2 },
  })
  const stream = await open('GET', '/containers/c/stats')
  const [first] = (await once(stream, 'data')) as [Buffer]
  const [second] = (await once(stream, 'data')) as [Buffer]
  stream.destroy()
  assert.match(first.toString(), /"read":"r4"/)
  assert.match(second.toString(), /"read":"r5".*"preread":"r4"/)
  assert.deepEqual(sampled, ['c', 'c', 'i', 'c', 'i'], 'by id once that is known')
})

test('stats: a stream of one sample is refused, and older clients know no one-shot', async () => {
  const { status, text } = await gateway.send('GET', '/containers/c/stats?one-shot=1')
  assert.equal(status, 400)
  assert.match(text, /cannot have stream=true and one-shot=true/)
  const stream = await open('GET', '/v1.40/containers/c/stats?one-shot=1')
  assert.equal(stream.statusCode, 200)
  stream.destroy()
})

const past = (filters: object = {}) =>
  `/events?since=1000&until=1100&filters=${encodeURIComponent(JSON.stringify(filters))}`

test('events: everything, in order, in the old form too', async () => {
  const { text, headers } = await gateway.send('GET', past())
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(lines(text).length, EVENTS.length)
  assert.deepEqual(lines(text)[0], {
    Type: 'container',
    Action: 'create',
    Actor: { ID: 'c1', Attributes: { name: 'web', image: 'busybox:1', a: 'b' } },
    scope: 'local',
    time: 1001,
    timeNano: 1_001_000_000_000,
    status: 'create',
    id: 'c1',
    from: 'busybox:1',
  })
  // A whole second is meant as a whole.
  assert.deepEqual([query.since?.getTime(), query.until?.getTime()], [1_000_000, 1_101_000])
})

for (const [filters, expected] of [
  [{ type: ['network'] }, ['connect']],
  [{ container: ['web'] }, ['create', 'health_status: healthy']],
  [{ container: ['c2', 'c1'] }, ['create', 'health_status: healthy', 'die']],
  [{ event: ['die', 'tag'] }, ['tag', 'die']],
  [{ event: ['health_status'] }, ['health_status: healthy']],
  [{ image: ['busybox'] }, ['create', 'health_status: healthy', 'tag']],
  [{ image: ['busybox:1'], type: ['image'] }, ['tag']],
  [{ network: { net: true } }, ['connect']],
  [{ label: ['a=b'] }, ['create']],
  [{ label: ['a', 'x'] }, []],
  [{ scope: ['swarm'] }, []],
  [{ volume: ['v'] }, []],
] as const) {
  test(`events: ${JSON.stringify(filters)}`, async () => {
    assert.deepEqual(actions((await gateway.send('GET', past(filters))).text), expected)
  })
}

test('events: before `since` means not at all', async () => {
  assert.deepEqual(actions((await gateway.send('GET', '/events?since=1003.5&until=1100')).text), ['tag', 'die'])
})

test('events: a long history arrives whole', { timeout: 10_000 }, async () => {
  const { text } = await gateway.send('GET', '/gantry/v1/events?after=1000&until=now')
  assert.equal(lines(text).length, LONG)
})

test('events: what cannot be', async () => {
  assert.equal((await gateway.send('GET', past({ nope: ['x'] }))).status, 400)
  assert.equal((await gateway.send('GET', '/events?since=1100&until=1000')).status, 400)
  assert.equal((await gateway.send('GET', '/events?since=soon')).status, 400)
})

test('events: live, the header at once, the subscription ends with the client', { timeout: 5_000 }, async () => {
  const started = Date.now()
  const reply = await open('GET', '/events')
  assert.equal(reply.statusCode, 200)
  assert((query.since?.getTime() ?? 0) >= started - 1)
  reply.destroy()
  await eventsEnded
})

test('sequenced events resume after a number', async () => {
  const { text } = await gateway.send('GET', '/gantry/v1/events?after=3&until=now')
  assert.deepEqual(
    (lines(text) as Array<{ seq: number }>).map(({ seq }) => seq),
    [4, 5],
  )
  assert.equal(query.afterSeq, 3)
  assert(query.until)
})
