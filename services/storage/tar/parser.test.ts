import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pack as tarPack, type Header } from 'tar-stream'
import { isKind } from '../../../shared/errors/index.ts'
import type { TarEntry, TarSink } from './entry.ts'
import { encodeHeader, TAR_END } from './header.ts'
import { TarParser } from './parser.ts'

interface Seen {
  readonly entries: (TarEntry & { content: Buffer })[]
  /** Everything, in the order in which it was reported. */
  readonly all: Buffer
}

function parse(archive: Buffer, pieceSize = archive.length, strict = true): Seen {
  const entries: (TarEntry & { content: Buffer })[] = []
  const all: Buffer[] = []
  let content: Buffer[] = []
  let current: TarEntry | undefined
  const sink: TarSink = {
    raw: (bytes) => void all.push(Buffer.from(bytes)),
    entry: (entry) => {
      current = entry
      content = []
    },
    data: (bytes) => {
      all.push(Buffer.from(bytes))
      content.push(Buffer.from(bytes))
    },
    entryEnd: () => {
      if (current) entries.push({ ...current, content: Buffer.concat(content) })
    },
  }
  const parser = new TarParser(sink)
  for (let at = 0; at < archive.length; at += pieceSize) parser.write(archive.subarray(at, at + pieceSize))
  parser.end(strict)
  return { entries, all: Buffer.concat(all) }
}

/** An archive made by another implementation. */
async function packed(...members: [Partial<Header> & { name: string }, string?][]): Promise<Buffer> {
  const pack = tarPack()
  for (const [header, content] of members) pack.entry(header, content ?? '')
  pack.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of pack) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** A header with fields changed and the checksum made right again. */
function header(name: string, size: number, change: (block: Buffer) => void): Buffer {
  const block = encodeHeader(name, size)
  change(block)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

const member = (name: string, typeflag: string, content: Buffer): Buffer =>
  Buffer.concat([
    header(name, content.length, (block) => block.write(typeflag, 156)),
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
  ])

function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

const invalid = (error: unknown): boolean => isKind(error, 'invalid')

describe('tar parser', () => {
  it('reads files, directories, links, devices, whatever the pieces', async () => {
    const archive = await packed(
      [{ name: 'dir/', type: 'directory', mode: 0o1777, uid: 5, gid: 6 }],
      [{ name: 'dir/file', mode: 0o4755, mtime: new Date(1_000_000_000_000) }, 'hello'],
      [{ name: 'link', type: 'symlink', linkname: '../x' }],
      [{ name: 'hard', type: 'link', linkname: 'dir/file' }],
      [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }],
      [{ name: 'fifo', type: 'fifo' }],
      [{ name: 'empty' }],
    )
    for (const size of [1, 7, 511, 512, 513, 4096]) {
      const { entries, all } = parse(archive, size)
      assert.deepEqual(
        entries.map((e) => [e.type, e.name, e.linkname, e.content.toString()]),
        [
          ['directory', 'dir/', '', ''],
          ['file', 'dir/file', '', 'hello'],
          ['symlink', 'link', '../x', ''],
          ['link', 'hard', 'dir/file', ''],
          ['char', 'null', '', ''],
          ['fifo', 'fifo', '', ''],
          ['file', 'empty', '', ''],
        ],
      )
      assert.deepEqual([entries[0]?.mode, entries[0]?.uid, entries[0]?.gid], [0o1777, 5, 6])
      assert.deepEqual([entries[1]?.mode, entries[1]?.mtime], [0o4755, 1_000_000_000_000_000_000n])
      assert.deepEqual([entries[4]?.major, entries[4]?.minor], [1, 3])
      assert.deepEqual(all, archive)
    }
  })

  it('reads pax names, sizes, times and binary attributes', () => {
    const value = Buffer.from([1, 0, 0, 2, 255, 10, 61])
    const long = 'ä'.repeat(150)
    const records = Buffer.concat([
      paxRecord('path', Buffer.from(long)),
      paxRecord('mtime', Buffer.from('1.5')),
      paxRecord('uid', Buffer.from('3000000')),
      paxRecord('SCHILY.xattr.security.capability', value),
    ])
    const { entries } = parse(
      Buffer.concat([member('x', 'x', records), member('short', '0', Buffer.from('c')), TAR_END]),
    )
    const [entry] = entries
    assert.equal(Buffer.from(entry?.name ?? '', 'latin1').toString(), long)
    assert.equal(entry?.mtime, 1_500_000_000n)
    assert.equal(entry?.uid, 3_000_000)
    assert.deepEqual(entry?.xattrs.get('security.capability'), value)
  })

  it('pax records last for one entry, global ones for all', () => {
    const { entries } = parse(
      Buffer.concat([
        member('g', 'g', paxRecord('uid', Buffer.from('7'))),
        member('x', 'x', paxRecord('path', Buffer.from('renamed'))),
        member('a', '0', Buffer.alloc(0)),
        member('b', '0', Buffer.alloc(0)),
        TAR_END,
      ]),
    )
    assert.deepEqual(
      entries.map((e) => [e.name, e.uid]),
      [
        ['renamed', 7],
        ['b', 7],
      ],
    )
  })

  it('reads GNU long names and base-256 numbers', () => {
    const name = 'n'.repeat(300)
    const big = header('short', 0, (block) => {
      block.fill(0, 108, 116)
      block.writeUInt8(0x80, 108)
      block.writeUInt32BE(0x12345678, 112)
      block.fill(0xff, 136, 148)
    })
    const { entries } = parse(
      Buffer.concat([
        member('././@LongLink', 'L', Buffer.from(`${name}\0`)),
        member('././@LongLink', 'K', Buffer.from('target\0')),
        big,
        TAR_END,
      ]),
    )
    assert.equal(entries[0]?.name, name)
    assert.equal(entries[0]?.linkname, 'target')
    assert.equal(entries[0]?.uid, 0x12345678)
    assert.equal(entries[0]?.mtime, -1_000_000_000n)
  })

  it('takes names as bytes', () => {
    const archive = Buffer.concat([header('x', 0, (block) => block.write('caf\xe9\0', 0, 'latin1')), TAR_END])
    assert.equal(parse(archive).entries[0]?.name, 'caf\xe9')
  })

  it('an archive that is cut anywhere is refused', async () => {
    const archive = await packed([{ name: 'a' }, 'x'.repeat(700)], [{ name: 'b/', type: 'directory' }])
    const end = archive.length - 1024
    for (let cut = 0; cut <= end; cut += 100)
      assert.throws(() => parse(archive.subarray(0, cut), 512), invalid, `${cut}`)
    assert.throws(() => parse(archive.subarray(0, end)), invalid)
    assert.equal(parse(archive.subarray(0, end), 512, false).entries.length, 2)
  })

  it('what is no archive is refused', () => {
    assert.throws(() => parse(Buffer.from('x'.repeat(2000))), invalid)
    assert.throws(() => parse(Buffer.alloc(0)), invalid)
    const damaged = encodeHeader('name', 0)
    damaged.writeUInt8(damaged.readUInt8(0) ^ 1, 0)
    assert.throws(() => parse(Buffer.concat([damaged, TAR_END])), invalid)
  })

  it('bad numbers, pax headers, types and sizes are refused', () => {
    const refused: Buffer[] = [
      header('x', 0, (block) => block.write('99z', 108)),
      header('x', 0, (block) => block.write('S', 156)),
      header('x', 0, (block) => block.write('V', 156)),
      header('x', 0, (block) => block.fill(0xff, 124, 136)),
      header('x', 2 * 1024 * 1024, (block) => block.write('x', 156)),
      member('x', 'x', Buffer.from('99 path=x\n')),
      member('x', 'x', Buffer.from('nonsense')),
      Buffer.concat([member('x', 'x', paxRecord('size', Buffer.from('many'))), encodeHeader('a', 0)]),
      Buffer.concat([member('x', 'x', paxRecord('mtime', Buffer.from('soon'))), encodeHeader('a', 0)]),
      Buffer.concat([member('x', 'x', paxRecord('GNU.sparse.major', Buffer.from('1'))), encodeHeader('a', 0)]),
      Buffer.concat([member('x', 'x', paxRecord('path', Buffer.from('a\0b'))), encodeHeader('a', 0)]),
    ]
    refused.forEach((start, i) => assert.throws(() => parse(Buffer.concat([start, TAR_END])), invalid, `case ${i}`))
  })
})
