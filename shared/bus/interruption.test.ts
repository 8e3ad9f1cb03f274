import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Status } from 'nats'
import { Interruptions } from './interruption.ts'

/** A connection whose status the test tells. */
function connection() {
  const told: string[] = []
  let wake: () => void = () => undefined
  const status = async function* (): AsyncGenerator<Status> {
    for (;;) {
      const type = told.shift()
      if (type === undefined) await new Promise<void>((resolve) => (wake = resolve))
      else yield { type, data: '' } as unknown as Status
    }
  }
  return {
    interruptions: new Interruptions({ status }, 20),
    tell: async (type: string): Promise<void> => {
      told.push(type)
      wake()
      await turn()
    },
  }
}

test('a call that was sent before the bus went away fails when it is back', async () => {
  const { interruptions, tell } = connection()
  const answer = interruptions.call(() => new Promise<never>(() => undefined))
  const failed = assert.rejects(answer, /bus was away/)
  await turn()
  await tell('disconnect')
  await tell('reconnect')
  await failed
})

test('while the bus is away nothing is sent; what was answered before is left alone', async () => {
  const { interruptions, tell } = connection()
  assert.equal(await interruptions.call(() => Promise.resolve('early')), 'early')
  await tell('disconnect')
  let sent = false
  const answer = interruptions.call(async () => {
    sent = true
    return 'answered'
  })
  await turn()
  assert.equal(sent, false)
  await tell('reconnect')
  assert.equal(await answer, 'answered')
})

test('a bus that stays away is waited for, but not for ever', async () => {
  const { interruptions, tell } = connection()
  await tell('disconnect')
  await assert.rejects(
    interruptions.call(() => assert.fail('sent')),
    /bus is away/,
  )
})

test("a call's own failure is passed on", async () => {
  const { interruptions } = connection()
  await assert.rejects(
    interruptions.call(() => Promise.reject(new Error('no'))),
    /no/,
  )
})
