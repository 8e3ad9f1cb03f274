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
    interruptions: new Interruptions({ status }),
    tell: async (type: string): Promise<void> => {
      told.push(type)
      wake()
      await turn()
    },
  }
}

test('a call that was sent before the bus went away fails when it is back', async () => {
  const { interruptions, tell } = connection()
  const answer = interruptions.guard(new Promise<never>(() => undefined))
  const failed = assert.rejects(answer, /bus was away/)
  await turn()
  await tell('disconnect')
  await tell('reconnect')
  await failed
})

test('a call that is sent while the bus is away is left alone, and so is one that was answered', async () => {
  const { interruptions, tell } = connection()
  assert.equal(await interruptions.guard(Promise.resolve('early')), 'early')
  await tell('disconnect')
  let finish: (value: string) => void = () => undefined
  const answer = interruptions.guard(new Promise<string>((resolve) => (finish = resolve)))
  await tell('reconnect')
  finish('answered')
  assert.equal(await answer, 'answered')
})

test("a call's own failure is passed on", async () => {
  const { interruptions } = connection()
  await assert.rejects(interruptions.guard(Promise.reject(new Error('no'))), /no/)
})
