import { invalid } from '../../../shared/errors/index.ts'
import type { TarType } from './entry.ts'

/** One 512-byte block (ustar, pax(1), GNU tar's tar.h), decoded as it stands. */
export interface Header {
  readonly typeflag: string
  readonly name: string
  readonly linkname: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly major: number
  readonly minor: number
}

export const BLOCK = 512

const TYPES: Readonly<Record<string, TarType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}

/** The kind of file; undefined for a typeflag that is no file (pax, GNU long names) or unknown. */
export function typeOf(header: Header): TarType | undefined {
  const type = TYPES[header.typeflag]
  // Before POSIX a directory was a file whose name ends in a slash.
  return type === 'file' && header.typeflag !== '7' && header.name.endsWith('/') ? 'directory' : type
}

export const isZero = (block: Buffer): boolean => block.every((byte) => byte === 0)

function text(block: Buffer, from: number, length: number): string {
  const end = block.indexOf(0, from)
  return block.toString('latin1', from, end < 0 || end > from + length ? from + length : end)
}

/** Octal digits, or (GNU) a big-endian number when the first byte has its highest bit set. */
export function number(block: Buffer, from: number, length: number, field: string): number {
  const first = block[from] ?? 0
  if (first & 0x80) {
    let value = first & 0x40 ? -1n : 0n
    for (let i = from; i < from + length; i++) {
      const byte = BigInt(block[i] ?? 0)
      value = (value << 8n) | (i === from ? (first & 0x40 ? byte : byte & 0x7fn) : byte)
    }
    if (value < -(2n ** 53n) || value > 2n ** 53n) throw invalid(`tar: ${field} is out of range`)
    return Number(value)
  }
  const digits = block
    .toString('latin1', from, from + length)
    .replace(/\0[^]*$/, '')
    .trim()
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits)) throw invalid(`tar: ${field} is not a number: ${JSON.stringify(digits)}`)
  return parseInt(digits, 8)
}

function verify(block: Buffer): void {
  const written = block.toString('latin1', 148, 156)
  const want = /^ *[0-7]+[\0 ]*$/.test(written) ? parseInt(written.trim(), 8) : -1
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 32 : (block[i] ?? 0)
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  // Some old tars summed signed characters.
  if (want < 0 || (want !== unsigned && want !== signed))
    throw invalid('tar: invalid header (the checksum is wrong): not a tar archive, or damaged')
}

/** Decodes a header block; `invalid` when its checksum is wrong or a number is none. */
export function decodeHeader(block: Buffer): Header {
  verify(block)
  const magic = block.toString('latin1', 257, 263)
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : ''
  const name = text(block, 0, 100)
  const device = magic.startsWith('ustar')
  return {
    typeflag: block.toString('latin1', 156, 157),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkname: text(block, 157, 100),
    mode: number(block, 100, 8, 'mode'),
    uid: number(block, 108, 8, 'uid'),
    gid: number(block, 116, 8, 'gid'),
    size: number(block, 124, 12, 'size'),
    mtime: number(block, 136, 12, 'mtime'),
    major: device ? number(block, 329, 8, 'devmajor') : 0,
    minor: device ? number(block, 337, 8, 'devminor') : 0,
  }
}

/** The end of an archive: two blocks of zeros. */
export const TAR_END = Buffer.alloc(2 * BLOCK)

/** What fills a member's last block. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

/** Header of a plain file that belongs to root, of the epoch's time. `name` is ASCII and has at most 100 characters. */
export function encodeHeader(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, digits: number): number =>
    block.write(value.toString(8).padStart(digits, '0'), at)
  block.write(name, 0, 100, 'latin1')
  octal(0o644, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  if (size < 8 ** 11) octal(size, 124, 11)
  else {
    block.writeUInt8(0x80, 124)
    block.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(0, 136, 11)
  block.write('0', 156)
  block.write('ustar\x0000', 257, 'latin1')
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  octal(sum, 148, 6)
  block.writeUInt8(0, 154)
  return block
}
