import type { Frame } from './types.ts'

/**
 * The message `Frame` of streams.proto in protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), written by
 * hand: four fields need no library, and the data is copied once only.
 */

/** What is sent: data in pieces, which travel as one. */
export interface WireFrame {
  readonly channel: number
  readonly parts: readonly Uint8Array[]
  readonly eof: boolean
  readonly end?: string
}

/** What is received; with `end` it is the last one. */
export interface ReceivedFrame extends Frame {
  readonly end?: string
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

const CHANNEL_TAG = (1 << 3) | VARINT
const DATA_TAG = (2 << 3) | BYTES
const EOF_TAG = (3 << 3) | VARINT
const END_TAG = (4 << 3) | BYTES

/** Tag and value of `channel`, of `eof`, tag and length of `data` and of `end`. */
const LONGEST_HEADER = 6 + 2 + 6 + 6

const EMPTY = new Uint8Array(0)

/** Fields with default values are left out, as protobuf does. */
export function encodeFrame({ channel, parts, eof, end }: WireFrame): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const endLength = end === undefined ? 0 : Buffer.byteLength(end)
  const buffer = Buffer.allocUnsafe(LONGEST_HEADER + length + endLength)
  let at = 0
  if (channel !== 0) {
    buffer[at++] = CHANNEL_TAG
    at = writeVarint(buffer, at, channel)
  }
  if (eof) {
    buffer[at++] = EOF_TAG
    buffer[at++] = 1
  }
  if (length > 0) {
    buffer[at++] = DATA_TAG
    at = writeVarint(buffer, at, length)
    for (const part of parts) {
      buffer.set(part, at)
      at += part.length
    }
  }
  if (end !== undefined) {
    buffer[at++] = END_TAG
    at = writeVarint(buffer, at, endLength)
    at += buffer.write(end, at)
  }
  return buffer.subarray(0, at)
}

/** The data is a view of `buffer`. Unknown fields are skipped. Throws RangeError when the message is cut or malformed. */
export function decodeFrame(buffer: Uint8Array): ReceivedFrame {
  let channel = 0
  let data: Uint8Array = EMPTY
  let eof = false
  let end: string | undefined
  const reader = new Reader(buffer)
  while (!reader.done) {
    const tag = reader.varint()
    if (tag === CHANNEL_TAG) channel = reader.varint()
    else if (tag === DATA_TAG) data = reader.bytes(reader.varint())
    else if (tag === EOF_TAG) eof = reader.varint() !== 0
    else if (tag === END_TAG) end = Buffer.from(reader.bytes(reader.varint())).toString()
    else skip(reader, tag & 7)
  }
  return end === undefined ? { channel, data, eof } : { channel, data, eof, end }
}

function skip(reader: Reader, type: number): void {
  if (type === VARINT) reader.varint()
  else if (type === BYTES) reader.bytes(reader.varint())
  else if (type === FIXED64) reader.bytes(8)
  else if (type === FIXED32) reader.bytes(4)
  else throw new RangeError(`a frame with a field of wire type ${type}`)
}

class Reader {
  readonly #buffer: Uint8Array
  #at = 0

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length
  }

  /** An unsigned integer of at most 32 bits; what is beyond is dropped, as protobuf does. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#buffer[this.#at++]
      if (byte === undefined) throw new RangeError('a frame that is cut')
      if (shift < 32) value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new RangeError('a frame with an endless number')
  }

  bytes(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#buffer.length) throw new RangeError('a frame that is cut')
    const bytes = this.#buffer.subarray(this.#at, end)
    this.#at = end
    return bytes
  }
}

function writeVarint(buffer: Uint8Array, at: number, value: number): number {
  while (value > 0x7f) {
    buffer[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  buffer[at++] = value
  return at
}
