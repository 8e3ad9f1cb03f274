import assert from 'node:assert/strict'
import { fstatSync, writeSync } from 'node:fs'
import { test } from 'node:test'
import { openEventFd } from './eventfd.ts'

const one = (): Uint8Array => new Uint8Array(new BigUint64Array([1n]).buffer)

test('a write to the descriptor is signalled, on the event loop', async () => {
  let signals = 0
  let resolve = (): void => undefined
  const event = openEventFd(() => {
    signals++
    resolve()
  })
  for (let i = 1; i <= 3; i++) {
    const signalled = new Promise<void>((r) => (resolve = r))
    writeSync(event.fd, one())
    assert.equal(signals, i - 1, 'never within the call')
    await signalled
    assert.equal(signals, i)
  }
  event.close()
})

test('close gives the descriptor back and ends the signals', async () => {
  const event = openEventFd(() => assert.fail('signalled after close'))
  writeSync(event.fd, one())
  event.close()
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  assert.throws(() => fstatSync(event.fd), { code: 'EBADF' })
})
