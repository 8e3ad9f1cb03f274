import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { decodeFrame, encodeFrame } from './codec.ts'
import { OPEN_PATH } from './wire.ts'

interface Message {
  channel: number
  data: Buffer
  eof: boolean
}

const definition = loadSync(join(import.meta.dirname, 'streams.proto'), { defaults: true, bytes: Buffer })
const service = definition['gantry.streams.v1.Streams'] as ServiceDefinition
const open = service['Open'] as MethodDefinition<Message, Message>

const FRAMES: readonly Message[] = [
  { channel: 0, data: Buffer.alloc(0), eof: false },
  { channel: 0, data: Buffer.from('x'), eof: false },
  { channel: 1, data: Buffer.alloc(127, 'a'), eof: false },
  { channel: 2, data: Buffer.alloc(128, 'b'), eof: true },
  { channel: 300, data: Buffer.alloc(256 * 1024, 'c'), eof: false },
  { channel: 0xffffffff, data: Buffer.alloc(0), eof: true },
]

test('the path is that of streams.proto', () => {
  assert.deepEqual([open.path, open.requestStream, open.responseStream], [OPEN_PATH, true, true])
})

test('frames are read by what is generated from streams.proto, and the other way round', () => {
  for (const frame of FRAMES) {
    const parts = [frame.data.subarray(0, 3), frame.data.subarray(3)]
    assert.deepEqual({ ...open.requestDeserialize(encodeFrame({ ...frame, parts })) }, frame)
    const decoded = decodeFrame(open.requestSerialize(frame))
    assert.deepEqual({ ...decoded, data: Buffer.from(decoded.data) }, frame)
  }
})

test('fields that are not known are skipped, a cut frame is refused', () => {
  const later = Buffer.from([
    0x08, 2, 0x20, 0x96, 1, 0x2a, 2, 9, 9, 0x35, 1, 2, 3, 4, 0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x12, 1, 65,
  ])
  assert.deepEqual(decodeFrame(later), { channel: 2, data: Buffer.from('A'), eof: false })
  for (const bad of [[0x12, 5, 65], [0x08], [0x08, 0x80], [0x0b], [0x08, ...Array<number>(11).fill(0x80)]]) {
    assert.throws(() => decodeFrame(Buffer.from(bad)), RangeError)
  }
})
