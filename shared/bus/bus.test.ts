import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import Type from 'typebox'
import { contract, verb, type StatsSample } from '../contracts/index.ts'
import { conflict, GantryError } from '../errors/index.ts'
import { createLogger, currentTrace, withTrace } from '../log/index.ts'
import { startRelay, Store } from '../store/index.ts'
import { type Bus, connectBus } from './index.ts'
import { startTestNats } from './testing.ts'

const log = createLogger('test', 'silent')
const demo = contract('demo', '1.0.0', {
  'thing.echo': verb({
    summary: 'Says it again.',
    request: Type.Object({ text: Type.String() }),
    reply: Type.Object({ text: Type.String() }),
    callers: ['admin'],
  }),
  'thing.fail': verb({ summary: 'Fails.', request: Type.Object({}), reply: Type.Object({}), callers: ['admin'] }),
  'thing.trace': verb({ summary: 'Trace.', request: Type.Object({}), reply: Type.Unknown(), callers: ['admin'] }),
})

let nats: Awaited<ReturnType<typeof startTestNats>>
let bus: Bus
const connectOne = (): Promise<Bus> =>
  connectBus({ url: nats.url, credentials: { user: 'u', password: 'p' }, node: 'n1', log })

before(async () => {
  nats = await startTestNats()
  bus = await connectOne()
})
after(async () => {
  await bus.close()
  await nats.stop()
})

const kindOf = (kind: string, text: RegExp) => (e: unknown) =>
  e instanceof GantryError && e.kind === kind && text.test(e.message)

test('a verb is answered, checked and told apart from a failure', async () => {
  const served = await bus.serve(demo, {
    'thing.echo': async ({ text }) => ({ text }),
    'thing.fail': async () => {
      await new Promise((resolve) => setImmediate(resolve))
      throw conflict('held by me', { details: { holder: 'me' } })
    },
    'thing.trace': async () => currentTrace(),
  })
  const client = bus.client(demo)
  assert.deepEqual(await client['thing.echo']({ text: 'é' }), { text: 'é' })
  await assert.rejects(client['thing.echo']({ text: 5 as unknown as string }), kindOf('invalid', /text must be string/))
  await assert.rejects(
    client['thing.fail']({}),
    (e: unknown) => kindOf('conflict', /held by me/)(e) && (e as GantryError).details?.['holder'] === 'me',
  )
  const trace = { job: 'j1', traceparent: '00-a-b-01' }
  assert.deepEqual(await withTrace(trace, () => client['thing.trace']({})), trace)
  // What one request is done for is not what its own calls are done for.
  const calling = withTrace({ ...trace, request: 'r1' }, () => client['thing.trace']({}, { request: 'r2' }))
  assert.deepEqual(await calling, { ...trace, request: 'r2' })
  assert.deepEqual(await withTrace({ ...trace, request: 'r1' }, () => client['thing.trace']({})), trace)
  await served.stop()
  await assert.rejects(client['thing.echo']({ text: 'x' }), kindOf('unavailable', /demo service is not there/))
})

test('a fact is heard until it is handled, and once when told twice', async () => {
  const id = 'a'.repeat(64)
  const heard: string[] = []
  let failures = 1
  const { promise, resolve } = Promise.withResolvers<void>()
  const hearing = await bus.onFacts('t1', async (name, fact) => {
    if (failures-- > 0) throw new Error('not now')
    heard.push(name, (fact as { cgroup: string }).cgroup)
    if (heard.length === 4) resolve()
  })
  await bus.tellFact('cgroup.oom', { id, instance: '', cgroup: 'one', total: 1 }, 'x1')
  await bus.tellFact('cgroup.oom', { id, instance: '', cgroup: 'one', total: 1 }, 'x1')
  await bus.tellFact('cgroup.oom', { id, instance: '', cgroup: 'two', total: 2 }, 'x2')
  await promise
  assert.deepEqual(heard.filter((h) => h !== 'cgroup.oom').sort(), ['one', 'two'])
  await hearing.stop()
})

const actions = async (since: Date): Promise<string[]> => {
  const seen: string[] = []
  const query = { since, until: new Date(), signal: new AbortController().signal }
  for await (const { event } of bus.events(query)) seen.push(event.Action)
  return seen
}

test('the outbox is published in order, once, also when the teller dies between publishing and noting it', async () => {
  const since = new Date(Date.now() - 1000)
  const store = new Store(':memory:', ['CREATE TABLE t (x INTEGER) STRICT'], 'n1')
  const relay = await startRelay(store, bus, log)
  for (let i = 0; i < 20; i++) {
    store.transaction(() => {
      store.run('INSERT INTO t VALUES (?)', i)
      store.emit({ type: 'network', action: `a${i}`, id: 'n', attributes: {} })
    })
  }
  assert.throws(() =>
    store.transaction(() => {
      store.emit({ type: 'network', action: 'never', id: 'n', attributes: {} })
      throw new Error('rolled back')
    }),
  )
  await relay.flushed()
  await relay.stop()
  const again = await startRelay(store, bus, log)
  store.emit({ type: 'network', action: 'last', id: 'n', attributes: {} })
  await again.flushed()
  await again.stop()
  assert.deepEqual(await actions(since), [...Array.from({ length: 20 }, (_, i) => `a${i}`), 'last'])
  store.close()
})

test('samples are heard while somebody listens; one of unknown form is dropped', async () => {
  const other = await connectOne()
  const heard: StatsSample[] = []
  let more = (): void => undefined
  const next = (): Promise<void> => new Promise((resolve) => (more = resolve))
  const listening = bus.onStats((sample) => {
    heard.push(sample)
    more()
  })
  const sample = (id: string): StatsSample => ({ source: 'network', id: id.repeat(64), read: 'now', networks: {} })
  // The server takes a subscription and a message of one connection in order; another's come when it has the subscription.
  bus.publishStats('a', sample('a'))
  await next()
  other.publishStats('b', { source: 'nobody' } as unknown as StatsSample)
  other.publishStats('c', sample('c'))
  await next()
  await listening.stop()
  other.publishStats('d', sample('d'))
  await other.close()
  assert.deepEqual(heard, [sample('a'), sample('c')])
})

test('a change is told before whatever its service sends later, and a bus that was away may have had one', async () => {
  const own = await startTestNats()
  const [teller, hearer] = await Promise.all(
    [1, 2].map(() => connectBus({ url: own.url, credentials: { user: 'u', password: 'p' }, node: 'n1', log })),
  )
  if (!teller || !hearer) throw new Error('not connected')
  let changes = 0
  let more = (): void => undefined
  const hearing = hearer.onChanges('demo', () => {
    changes++
    more()
  })
  const served = await teller.serve(demo, {
    'thing.echo': async ({ text }) => {
      teller.tellChange('demo')
      teller.tellChange('other')
      return { text }
    },
    'thing.fail': async () => ({}),
    'thing.trace': async () => ({}),
  })
  try {
    for (const n of [1, 2, 3]) {
      await hearer.client(demo)['thing.echo']({ text: '' })
      assert.equal(changes, n)
    }
    const away = new Promise<void>((resolve) => (more = resolve))
    await own.stop()
    await away
    assert.equal(changes, 4)
    const back = new Promise<void>((resolve) => (more = resolve))
    const again = await startTestNats(new URL(own.url).port)
    await back.finally(() => again.stop())
    assert.equal(changes >= 5, true)
    await hearing.stop()
  } finally {
    await Promise.all([served.stop().catch(() => undefined), teller.close(), hearer.close()])
  }
})

test('live events arrive, and a query that nothing matches ends', async () => {
  assert.deepEqual(await actions(new Date(Date.now() + 60_000)), [])
  const store = new Store(':memory:', [], 'n1')
  const relay = await startRelay(store, bus, log)
  const aborter = new AbortController()
  const live = (async () => {
    for await (const { event } of bus.events({ since: new Date(), signal: aborter.signal })) return event.Actor.ID
    return undefined
  })()
  store.emit({ type: 'volume', action: 'create', id: 'v1', attributes: {} })
  assert.equal(await live, 'v1')
  aborter.abort()
  await relay.stop()
  store.close()
})

test('a server that comes back without its streams is given them again, and facts are heard as before', async () => {
  const first = await startTestNats()
  const lossy = await connectBus({ url: first.url, credentials: { user: 'u', password: 'p' }, node: 'n1', log })
  const heard: unknown[] = []
  let losses = 0
  const hearing = await lossy.onFacts(
    'engine',
    async (_, fact) => void heard.push((fact as { pid: number }).pid),
    () => losses++,
  )
  const tell = async (pid: number): Promise<void> => {
    for (const end = Date.now() + 10_000; ;) {
      try {
        return await lossy.tellFact('service.ready', { service: 'exec', pid }, `r${pid}`)
      } catch (error) {
        if (Date.now() > end) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  const until = async (count: number): Promise<void> => {
    for (const end = Date.now() + 10_000; heard.length < count && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await tell(1)
  await until(1)
  await first.stop()
  const second = await startTestNats(new URL(first.url).port)
  try {
    await tell(2)
    await until(2)
    assert.deepEqual(heard, [1, 2])
    assert.equal(losses, 1)
    await hearing.stop()
  } finally {
    await lossy.close()
    await second.stop()
  }
})

test('what is too long for the bus is invalid, and an event of that kind does not hold up the next', async () => {
  const text = 'x'.repeat(2 * 1024 * 1024)
  await assert.rejects(bus.client(demo)['thing.echo']({ text }), kindOf('invalid', /too long/))
  const store = new Store(':memory:', [], 'n1')
  const relay = await startRelay(store, bus, log)
  store.emit({ type: 'container', action: 'create', id: 'long', attributes: { text } })
  store.emit({ type: 'container', action: 'create', id: 'short', attributes: {} })
  await relay.flushed()
  await relay.stop()
  store.close()
})
