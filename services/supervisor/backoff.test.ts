import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff } from './backoff.ts'

const pauses = (lived: number, ready: boolean): number[] => {
  const backoff = new Backoff()
  return Array.from({ length: 9 }, () => backoff.next(lived, ready))
}

test('what keeps ending soon after its start is started after ever longer pauses, shorter ones when it had worked', () => {
  assert.deepEqual(pauses(100, false), [0, 0, 250, 500, 1000, 2000, 4000, 8000, 10_000])
  assert.deepEqual(pauses(5000, true), [0, 0, 250, 500, 1000, 1000, 1000, 1000, 1000])
})

test('what had lived for long is started at once', () => {
  const backoff = new Backoff()
  for (let i = 0; i < 5; i++) backoff.next(100, false)
  assert.equal(backoff.next(10_000, true), 0)
})
