import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Views } from './views.ts'

/** Views on an engine that a test lets change, and on a clock that it sets. */
function setUp() {
  let told = (): void => undefined
  const clock = { now: 0 }
  let asked = 0
  const views = new Views(
    (handle) => {
      told = handle
      return { stop: async () => undefined }
    },
    () => clock.now,
  )
  return {
    ...{ views, clock, change: () => told() },
    /** The number of the question that was answered. */
    read: async (key = 'k', answer: () => unknown = () => undefined) =>
      Number(
        await views.read(key, async () => {
          const number = ++asked
          await answer()
          return number
        }),
      ),
  }
}

test('an answer is given again until a change is told, and only to the same question', async () => {
  const { read, change } = setUp()
  assert.deepEqual([await read(), await read(), await read('other')], [1, 1, 2])
  change()
  assert.deepEqual([await read(), await read('other')], [3, 4])
})

test('one that was on its way when a change was told is given, but not kept', async () => {
  const { read, change } = setUp()
  assert.equal(await read('k', change), 1)
  assert.equal(await read(), 2)
})

test('none is older than a second, counted from the question', async () => {
  const { read, clock } = setUp()
  await read('k', () => (clock.now += 400))
  clock.now = 999
  assert.equal(await read(), 1)
  clock.now = 1000
  assert.equal(await read(), 2)
})

test('a failure is not kept, and without word of changes nothing is', async () => {
  const { read } = setUp()
  await assert.rejects(read('k', () => Promise.reject(new Error('no'))))
  assert.equal(await read(), 2)
  const deaf = new Views(undefined)
  let n = 0
  const ask = () => deaf.read('k', async () => ++n)
  assert.deepEqual([await ask(), await ask()], ['1\n', '2\n'])
})
