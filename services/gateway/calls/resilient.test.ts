import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client, EngineContract } from '../../../shared/contracts/index.ts'
import { conflict, isKind, unavailable } from '../../../shared/errors/index.ts'
import { resilient } from './resilient.ts'

const PATIENCE = { awayMs: 200, firstPauseMs: 1, longestPauseMs: 10, watchMs: 20 }
const away = () => unavailable('nobody there', { cause: new Error('503') })

/** A client of one verb whose n-th answer is the n-th function. */
function client(answers: Array<() => Promise<unknown>>, uptime: () => number = () => 1000) {
  let calls = 0
  const raw = {
    info: () => (answers[calls++] ?? answers.at(-1) ?? (() => Promise.resolve({})))(),
    health: async () => ({ uptime: uptime() }),
  } as unknown as Client<EngineContract>
  return { engine: resilient(raw, PATIENCE), calls: () => calls }
}

test('a service that is away for a moment is asked again', async () => {
  const { engine, calls } = client([() => Promise.reject(away()), () => Promise.reject(away()), async () => 'there'])
  assert.equal(await engine.info({}), 'there')
  assert.equal(calls(), 3)
})

test('a call has an id of its own, which it keeps when it is sent again', async () => {
  const ids: unknown[] = []
  const info = async (_: object, options: { request: string }) => {
    ids.push(options.request)
    if (ids.length === 1) throw away()
  }
  const engine = resilient({ info } as unknown as Client<EngineContract>, PATIENCE)
  await engine.info({})
  await engine.info({})
  assert.equal(typeof ids[0], 'string')
  assert.equal(ids[1], ids[0])
  assert.notEqual(ids[2], ids[0])
})

test('a draining service is away', async () => {
  const draining = unavailable('shutting down', { details: { draining: true } })
  const { engine } = client([() => Promise.reject(draining), async () => 'there'])
  assert.equal(await engine.info({}), 'there')
})

test('a service that stays away is told of', async () => {
  const { engine } = client([() => Promise.reject(away())])
  await assert.rejects(engine.info({}), (error) => isKind(error, 'unavailable'))
})

test('an answer is an answer: errors, time-outs and an unavailable of the service itself are final', async () => {
  for (const error of [
    conflict('taken'),
    unavailable('conmon is not installed'),
    unavailable('no answer', { cause: new Error('TIMEOUT'), details: { timeout: true } }),
  ]) {
    const { engine, calls } = client([() => Promise.reject(error)])
    await assert.rejects(engine.info({}), error)
    assert.equal(calls(), 1)
  }
})

test('a call whose service started after it is sent again', async () => {
  const never = new Promise<never>(() => undefined)
  const { engine, calls } = client([() => never, async () => 'there'], () => 0)
  const slow = delay(500).then(() => 'too slow')
  assert.equal(await Promise.race([engine.info({}), slow]), 'there')
  assert.equal(calls(), 2)
})

test('a call that takes long while its service lives is left alone', async () => {
  const { engine, calls } = client([() => delay(150, 'done')])
  assert.equal(await engine.info({}), 'done')
  assert.equal(calls(), 1)
})

test('a request that kills its service is not sent for ever', async () => {
  const never = new Promise<never>(() => undefined)
  const { engine, calls } = client([() => never], () => 0)
  await assert.rejects(engine.info({}), /died again and again/)
  assert.equal(calls(), 4)
})
