import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutputQueue } from './output-queue.ts'

const texts = (queue: OutputQueue): string[] => queue.take().map((c) => `${c.channel}${Buffer.from(c.data).toString()}`)

test('what is given is copied; neighbours of one channel are one chunk, in their order', () => {
  const queue = new OutputQueue()
  const packet = Buffer.alloc(1)
  for (const [channel, text] of [
    [1, 'a'],
    [1, 'b'],
    [2, 'c'],
    [1, 'd'],
  ] as const) {
    packet.write(text)
    queue.push(channel, packet)
  }
  assert.equal(queue.bytes, 4)
  assert.deepEqual(texts(queue), ['1ab', '2c', '1d'])
  assert.deepEqual([queue.bytes, texts(queue)], [0, []])
})

test('what was taken does not change, whatever comes later', () => {
  const queue = new OutputQueue()
  let expected = ''
  let seen = ''
  for (let i = 0; i < 5_000; i++) {
    const text = `${i},`.repeat(1 + (i % 40))
    queue.push(1, Buffer.from(text))
    expected += text
    if (i % 7 === 0)
      seen += texts(queue)
        .map((t) => t.slice(1))
        .join('')
  }
  const held = queue.take()
  queue.push(1, Buffer.alloc(100_000, 'x'))
  seen += held.map((c) => Buffer.from(c.data).toString()).join('')
  assert.equal(seen, expected)
  assert.equal(queue.take().length, 1)
})
