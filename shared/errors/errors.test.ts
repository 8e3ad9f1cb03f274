import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conflict, ERROR_KINDS, fromWire, GantryError, grpcStatus, httpStatus, toWire } from './index.ts'

test('every kind has an HTTP and a gRPC status', () => {
  for (const kind of ERROR_KINDS) {
    const error = new GantryError(kind, 'x')
    assert.ok(httpStatus(error) >= 300 && httpStatus(error) < 600, kind)
    assert.ok(grpcStatus(error) >= 1 && grpcStatus(error) <= 16, kind)
  }
  assert.equal(httpStatus(new TypeError('a bug')), 500)
})

test('an error comes over the wire with kind, words and details', () => {
  const there = fromWire(JSON.parse(JSON.stringify(toWire(conflict('taken', { details: { holder: 'x' } })))) as never)
  assert.deepEqual([there.kind, there.message, there.details], ['conflict', 'taken', { holder: 'x' }])
})

test('a kind that this version does not know is internal', () => {
  assert.equal(fromWire({ kind: 'from-the-future' as never, message: 'm' }).kind, 'internal')
})
