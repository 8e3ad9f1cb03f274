import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Outbox } from './outbox.ts'
import { MAX_FRAME } from './wire.ts'

function leave(outbox: Outbox): string[] {
  const seen: string[] = []
  for (let frame = outbox.shift(); frame; frame = outbox.shift()) {
    seen.push(`${frame.channel}${Buffer.concat(frame.parts).toString()}${frame.eof ? '$' : ''}`)
  }
  return seen
}

test('neighbours of one channel leave together, in their order, ends by themselves', () => {
  const outbox = new Outbox()
  for (const [channel, text] of [
    [1, 'a'],
    [1, 'b'],
    [2, 'c'],
    [1, 'd'],
  ] as const)
    outbox.push(channel, Buffer.from(text))
  outbox.pushEof(1)
  outbox.push(1, Buffer.from('e'))
  assert.equal(outbox.bytes, 5)
  assert.deepEqual(leave(outbox), ['1ab', '2c', '1d', '1$', '1e'])
  assert.equal(outbox.bytes, 0)
})

test('no frame is longer than allowed', () => {
  const outbox = new Outbox()
  outbox.push(1, Buffer.alloc(2 * MAX_FRAME + 1))
  outbox.push(1, Buffer.alloc(MAX_FRAME - 1))
  outbox.push(1, Buffer.alloc(1))
  const lengths: number[] = []
  for (let frame = outbox.shift(); frame; frame = outbox.shift()) lengths.push(Buffer.concat(frame.parts).length)
  assert.deepEqual(lengths, [MAX_FRAME, MAX_FRAME, MAX_FRAME, 1])
})
