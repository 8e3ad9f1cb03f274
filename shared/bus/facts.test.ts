import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConsumerMessages, type JetStreamClient, type JetStreamManager, NatsError } from 'nats'
import { createLogger } from '../log/index.ts'
import { hearFacts } from './facts.ts'

/** A server whose consumer can get lost, and where hearing it can fail after it was made. */
class Server {
  consumer = false
  failures = 0
  heard = 0
  readonly manager = {
    consumers: {
      add: async () => void (this.consumer = true),
      info: async () => {
        if (this.consumer) return {}
        throw Object.assign(new NatsError('consumer not found', '404'), { api_error: { code: 404 } })
      },
    },
  } as unknown as JetStreamManager
  readonly js = { consumers: { get: async () => ({ consume: () => this.#consume() }) } } as unknown as JetStreamClient

  async #consume(): Promise<ConsumerMessages> {
    if (this.failures-- > 0) throw new NatsError('no answer', 'TIMEOUT')
    this.heard++
    const { promise, resolve } = Promise.withResolvers<void>()
    const next = () => promise.then(() => ({ done: true, value: undefined }))
    const messages = { [Symbol.asyncIterator]: () => ({ next }), close: async () => resolve() }
    return messages as unknown as ConsumerMessages
  }
}

test('a consumer that is made anew but could not be heard at once still counts as lost', async () => {
  const server = new Server()
  const log = createLogger('test', 'silent')
  const hearing = await hearFacts(server.js, server.manager, 'n', 'engine', async () => undefined, log)
  assert.equal(await hearing.restore(), false)
  server.consumer = false
  server.failures = 1
  await assert.rejects(hearing.restore(), /no answer/)
  assert.equal(await hearing.restore(), true)
  assert.equal(server.heard, 2)
  assert.equal(await hearing.restore(), false)
  await hearing.stop()
})
