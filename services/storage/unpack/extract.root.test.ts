import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync } from 'node:fs'
import { readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { AT_FDCWD, getXattr, mknodat, S, setXattr } from '../../../shared/kernel/files.ts'
import { assembleTar } from '../tar/assemble.ts'
import { makeTar, type TarMember } from '../testing.ts'
import { extractHere } from './extract.ts'
import type { DiffFormat } from './whiteouts.ts'

const base = mkdtempSync(join(tmpdir(), 'gantry-extract-'))
after(() => rmSync(base, { recursive: true, force: true }))

let dir = ''
let root = ''
let count = 0
beforeEach(() => {
  dir = join(base, String(++count))
  root = join(dir, 'root')
  mkdirSync(root, { recursive: true })
  writeFileSync(join(dir, 'victim'), 'untouched')
})

const sha = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function extract(tar: Buffer, format: DiffFormat = 'overlay') {
  const paths = { split: join(dir, 'split'), replaced: join(dir, 'replaced') }
  async function* source() {
    for (let at = 0; at < tar.length; at += 1000) yield tar.subarray(at, at + 1000)
  }
  const result = await extractHere({ root, format, strict: true, ...paths }, source())
  assert.equal(result.tarSize, tar.length)
  return { ...result, again: () => Buffer.concat([...assembleTar({ root, ...paths, diffId: result.diffId })]) }
}

const members = async (list: readonly TarMember[], format?: DiffFormat) => extract(await makeTar(list), format)
/** A second extraction in the same test needs its own split file. */
async function extractAgain(list: readonly TarMember[]) {
  rmSync(join(dir, 'split'), { force: true })
  return members(list)
}

const refuses = (work: Promise<unknown>): Promise<void> => assert.rejects(work, (e: unknown) => isKind(e, 'invalid'))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Nothing outside the root came into being or changed. */
function contained(): void {
  assert.equal(readFileSync(join(dir, 'victim'), 'utf8'), 'untouched')
  assert.deepEqual(
    readdirSync(dir).filter((name) => !['root', 'victim', 'split', 'replaced'].includes(name)),
    [],
  )
}

describe('extraction', () => {
  it('gives back what GNU tar packed: attributes, links, odd names; and packs the same archive again', async () => {
    const from = join(dir, 'from')
    mkdirSync(join(from, 'a/b'), { recursive: true })
    writeFileSync(join(from, 'a/file'), 'x'.repeat(300_000))
    linkSync(join(from, 'a/file'), join(from, 'a/hard'))
    symlinkSync('../a/file', join(from, 'a/soft'))
    mknodat(AT_FDCWD, join(from, 'null'), S.char, 0o666, 1, 3)
    mknodat(AT_FDCWD, join(from, 'fifo'), S.fifo, 0o644)
    writeFileSync(Buffer.from(`${from}/latin\xe9`, 'latin1'), 'bytes')
    writeFileSync(join(from, 'n'.repeat(200)), 'long')
    setXattr(join(from, 'a/file'), 'user.binary', Buffer.from([0, 1, 255, 10]))
    setXattr(
      join(from, 'a/file'),
      'security.capability',
      Buffer.from('0100000200200000000000000000000000000000', 'hex'),
    )
    execFileSync('chown', ['12:34', join(from, 'a/b')])
    execFileSync('chmod', ['6755', join(from, 'a/file')])
    utimesSync(join(from, 'a/b'), 1.5, 1.5)
    const args = ['--xattrs', '--xattrs-include=*', '--format=posix', '-C', from, '-c', '.']
    const tar = execFileSync('tar', args, { maxBuffer: 1e8 })
    rmSync(join(dir, 'victim'))
    const result = await extract(tar)
    assert.equal(result.diffId, sha(tar))
    assert.equal(result.size, 300_000 + 5 + 4 + '../a/file'.length)
    const file = statSync(join(root, 'a/file'))
    assert.deepEqual([file.mode & 0o7777, file.nlink, file.size], [0o6755, 2, 300_000])
    assert.equal(statSync(join(root, 'a/hard')).ino, file.ino)
    assert.equal(readlinkSync(join(root, 'a/soft')), '../a/file')
    assert.equal(lstatSync(join(root, 'null')).rdev, 0x103)
    assert.ok(lstatSync(join(root, 'fifo')).isFIFO())
    assert.equal(readFileSync(Buffer.from(`${root}/latin\xe9`, 'latin1'), 'utf8'), 'bytes')
    assert.equal(read('n'.repeat(200)), 'long')
    assert.deepEqual(getXattr(join(root, 'a/file'), 'user.binary'), Buffer.from([0, 1, 255, 10]))
    assert.equal(getXattr(join(root, 'a/file'), 'security.capability')?.length, 20)
    const b = statSync(join(root, 'a/b'))
    assert.deepEqual([b.uid, b.gid, b.mtimeMs], [12, 34, 1500])
    assert.deepEqual(result.again(), tar)
    rmSync(from, { recursive: true })
    writeFileSync(join(dir, 'victim'), 'untouched')
    contained()
  })

  it('an archive that replaces its own files can be packed again all the same', async () => {
    const list: TarMember[] = [
      { name: 'f', content: 'first' },
      { name: 'keep', type: 'link', linkname: 'f' },
      { name: 'f', content: 'second!' },
      { name: 'd/', type: 'directory' },
      { name: 'd/inner', content: 'inner' },
      { name: 'd', content: 'now a file' },
      { name: 'f', type: 'symlink', linkname: 'd' },
    ]
    const tar = await makeTar(list)
    const result = await extract(tar)
    assert.equal(read('keep'), 'first')
    assert.equal(read('d'), 'now a file')
    assert.equal(readlinkSync(join(root, 'f')), 'd')
    assert.deepEqual(result.again(), tar)
  })

  it('notices a layer that was changed', async () => {
    const result = await members([{ name: 'f', content: 'content' }])
    writeFileSync(join(root, 'f'), 'CONTENT')
    assert.throws(() => result.again(), /damaged/)
    writeFileSync(join(root, 'f'), 'longer content')
    assert.throws(() => result.again(), /damaged/)
    rmSync(join(root, 'f'))
    assert.throws(() => result.again(), /damaged/)
  })

  it('makes missing parents; a directory that is there keeps its content and takes the new attributes', async () => {
    await members([
      { name: 'x/y/z', content: '1' },
      { name: 'x/', type: 'directory', mode: 0o700 },
    ])
    assert.equal(read('x/y/z'), '1')
    assert.equal(statSync(join(root, 'x')).mode & 0o7777, 0o700)
    assert.equal(statSync(join(root, 'x/y')).mode & 0o7777, 0o755)
  })

  it("the archive's root entry changes nothing: an archive of a private directory must not lock users out", async () => {
    await members([{ name: './', type: 'directory', mode: 0o700, uid: 3, gid: 4 }])
    const { mode, uid, gid } = statSync(root)
    assert.deepEqual([mode & 0o7777, uid, gid], [0o755, 0, 0])
    await refuses(extractAgain([{ name: './', type: 'symlink', linkname: '/' }]))
  })
})

describe('extraction does not leave its root', () => {
  const outside = '../../victim'

  it('refuses names and hard links with too many ..', async () => {
    await refuses(members([{ name: '../victim', content: 'x' }]))
    await refuses(extractAgain([{ name: 'a/../../victim', content: 'x' }]))
    await refuses(extractAgain([{ name: 'h', type: 'link', linkname: '../victim' }]))
    contained()
  })

  it('an absolute name is one below the root', async () => {
    await members([{ name: '/etc/passwd', content: 'mine' }])
    assert.equal(read('etc/passwd'), 'mine')
    contained()
  })

  for (const target of ['..', '/', '../..', dirOutside(), `/proc/self/cwd`]) {
    it(`a link to ${target} leads to a place inside, or nowhere`, async () => {
      await members([
        { name: 'link', type: 'symlink', linkname: target },
        { name: 'link/victim', content: 'x' },
      ]).catch((error: unknown) => assert.ok(isKind(error, 'invalid'), String(error)))
      contained()
    })
  }

  function dirOutside(): string {
    return join(base, '1')
  }

  it('neither do chains of links', async () => {
    await members([
      { name: 'a', type: 'symlink', linkname: '..' },
      { name: 'b', type: 'symlink', linkname: 'a/..' },
      { name: 'b/victim', content: 'x' },
      { name: 'sub/', type: 'directory' },
      { name: 'sub/c', type: 'symlink', linkname: '../../..' },
      { name: 'sub/c/victim', content: 'y' },
    ])
    assert.equal(read('victim'), 'y')
    contained()
  })

  it('a file does not write through a link of its name, nor a directory change what a link leads to', async () => {
    const mode = statSync(dir).mode
    await members([
      { name: 'f', type: 'symlink', linkname: outside },
      { name: 'f', content: 'x' },
      { name: 'd', type: 'symlink', linkname: dir },
      { name: 'd/', type: 'directory', mode: 0o777, uid: 9 },
    ])
    assert.equal(read('f'), 'x')
    assert.ok(lstatSync(join(root, 'd')).isDirectory())
    assert.deepEqual([statSync(dir).mode, statSync(dir).uid], [mode, 0])
    contained()
  })

  it('a hard link is to the link, not to what it leads to', async () => {
    await members([
      { name: 's', type: 'symlink', linkname: join(dir, 'victim') },
      { name: 'h', type: 'link', linkname: 's' },
      { name: 'h', content: 'x' },
    ])
    assert.ok(lstatSync(join(root, 's')).isSymbolicLink())
    contained()
  })

  it('a hard link whose target is missing, or a directory, is refused', async () => {
    await refuses(members([{ name: 'h', type: 'link', linkname: 'nope' }]))
    await refuses(
      extractAgain([
        { name: 'd/', type: 'directory' },
        { name: 'h', type: 'link', linkname: 'd' },
      ]),
    )
  })

  it("overlayfs' own attributes are not taken from an archive", async () => {
    const pax = { 'SCHILY.xattr.trusted.overlay.redirect': '/x', 'SCHILY.xattr.user.mine': 'y' }
    await members([{ name: 'd/', type: 'directory', pax }])
    assert.equal(getXattr(join(root, 'd'), 'trusted.overlay.redirect'), undefined)
    assert.equal(getXattr(join(root, 'd'), 'user.mine')?.toString(), 'y')
  })
})

describe('whiteouts', () => {
  const isWhiteout = (path: string): boolean => {
    const stat = lstatSync(join(root, path))
    return stat.isCharacterDevice() && stat.rdev === 0
  }
  const isOpaque = (path: string): boolean => getXattr(join(root, path), 'trusted.overlay.opaque')?.toString() === 'y'

  it('overlay: become devices and opaque directories', async () => {
    await members([
      { name: '.wh.gone' },
      { name: 'd/', type: 'directory' },
      { name: 'd/.wh..wh..opq' },
      { name: 'd/new', content: '1' },
      { name: 'e/.wh.f' },
      { name: '.wh..wh.plnk' },
    ])
    assert.ok(isWhiteout('gone'))
    assert.ok(isWhiteout('e/f'))
    assert.ok(isOpaque('d'))
    assert.ok(!isOpaque('e'))
    assert.equal(read('d/new'), '1')
    assert.deepEqual(readdirSync(root).sort(), ['d', 'e', 'gone'])
  })

  it('overlay: mean the layers below, whatever the order', async () => {
    await members([
      { name: 'a/', type: 'directory' },
      { name: 'a/kept', content: '1' },
      { name: '.wh.a' },
      { name: '.wh.b' },
      { name: 'b/', type: 'directory' },
      { name: 'b/kept', content: '2' },
      { name: 'f', content: '3' },
      { name: '.wh.f' },
    ])
    assert.equal(read('a/kept') + read('b/kept') + read('f'), '123')
    assert.ok(isOpaque('a'))
    assert.ok(isOpaque('b'))
  })

  it('full: remove what the layers below have', async () => {
    for (const path of ['gone/deep', 'd/old', 'd/sub/x', 'f', 'kept']) {
      mkdirSync(join(root, path, '..'), { recursive: true })
      writeFileSync(join(root, path), 'lower')
    }
    const tar = await makeTar([
      { name: '.wh.gone' },
      { name: 'd/new', content: 'n' },
      { name: 'd/sub/y', content: 'y' },
      { name: 'd/.wh..wh..opq' },
      { name: 'f', content: 'upper' },
      { name: '.wh.f' },
      { name: 'missing/.wh.x' },
      { name: '.wh...' },
    ])
    const result = await extract(tar, 'full')
    assert.deepEqual(readdirSync(root).sort(), ['d', 'f', 'kept'])
    assert.deepEqual(readdirSync(join(root, 'd')).sort(), ['new', 'sub'])
    assert.deepEqual(readdirSync(join(root, 'd/sub')), ['y'])
    assert.equal(read('f'), 'upper')
    assert.equal(existsSync(join(root, 'missing')), false)
    assert.deepEqual(result.again(), tar)
    contained()
  })

  it('full: a whiteout below a link stays inside', async () => {
    symlinkSync('../..', join(root, 'out'))
    await members([{ name: 'out/.wh.victim' }, { name: 'out/.wh..wh..opq' }], 'full')
    contained()
  })

  it('one with content is refused', async () => {
    await refuses(members([{ name: '.wh.x', content: 'x' }]))
  })
})
