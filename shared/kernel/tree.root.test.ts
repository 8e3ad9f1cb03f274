import assert from 'node:assert/strict'
import { chmodSync, chownSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { readlinkSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { AT_FDCWD, getXattr, listXattr, mknodat, S, setXattr } from './files.ts'
import { changedSize, copyTree, removeTree, treeSize } from './tree.ts'

const base = mkdtempSync(join(tmpdir(), 'gantry-tree-'))
after(() => rmSync(base, { recursive: true, force: true }))

/** A tree with one of everything, and `more` files besides: with many, the work goes to a thread. */
function makeTree(name: string, more: number): string {
  const dir = join(base, name)
  mkdirSync(join(dir, 'sub/deep'), { recursive: true })
  writeFileSync(join(dir, 'sub/file'), 'x'.repeat(1000))
  chownSync(join(dir, 'sub/file'), 12, 34)
  chmodSync(join(dir, 'sub/file'), 0o4750)
  linkSync(join(dir, 'sub/file'), join(dir, 'hard'))
  symlinkSync('../../nowhere', join(dir, 'sub/link'))
  mknodat(AT_FDCWD, join(dir, 'null'), S.char, 0o666, 1, 3)
  mknodat(AT_FDCWD, join(dir, 'block'), S.block, 0o600, 259, 70_000)
  mknodat(AT_FDCWD, join(dir, 'fifo'), S.fifo, 0o600)
  writeFileSync(Buffer.from(`${dir}/latin\xe9`, 'latin1'), 'bytes')
  setXattr(join(dir, 'hard'), 'user.a', Buffer.from([0, 255]))
  for (let i = 0; i < more; i++) writeFileSync(join(dir, `more${i}`), '1')
  utimesSync(join(dir, 'sub'), 5.25, 5.25)
  chmodSync(dir, 0o1777)
  return dir
}

for (const more of [0, 300]) {
  describe(`trees with ${more} files more`, () => {
    it('copy keeps everything', async () => {
      const from = makeTree(`copy${more}`, more)
      const to = join(base, `target${more}`)
      mkdirSync(to)
      await copyTree(from, to)
      assert.deepEqual(readdirSync(to, { encoding: 'latin1' }).sort(), readdirSync(from, { encoding: 'latin1' }).sort())
      const file = statSync(join(to, 'sub/file'))
      assert.deepEqual([file.uid, file.gid, file.mode & 0o7777, file.nlink], [12, 34, 0o4750, 2])
      assert.equal(statSync(join(to, 'hard')).ino, file.ino)
      assert.notEqual(file.ino, statSync(join(from, 'hard')).ino)
      assert.equal(readlinkSync(join(to, 'sub/link')), '../../nowhere')
      for (const name of ['null', 'block'])
        assert.equal(lstatSync(join(to, name)).rdev, lstatSync(join(from, name)).rdev)
      assert.ok(lstatSync(join(to, 'fifo')).isFIFO())
      assert.equal(readFileSync(Buffer.from(`${to}/latin\xe9`, 'latin1'), 'utf8'), 'bytes')
      assert.deepEqual(listXattr(join(to, 'hard')), ['user.a'])
      assert.deepEqual(getXattr(join(to, 'hard'), 'user.a'), Buffer.from([0, 255]))
      assert.equal(statSync(join(to, 'sub')).mtimeMs, 5250)
      assert.equal(statSync(to).mode & 0o7777, 0o1777)
    })

    it('size counts hard links once', async () => {
      const dir = makeTree(`size${more}`, more)
      assert.equal(await treeSize(dir), 1000 + '../../nowhere'.length + 'bytes'.length + more)
    })

    it('changed size counts what differs', async () => {
      const from = makeTree(`base${more}`, more)
      const to = join(base, `changed${more}`)
      mkdirSync(to)
      await copyTree(from, to)
      assert.equal(await changedSize(to, from), 0)
      writeFileSync(join(to, 'new'), '1'.repeat(50))
      writeFileSync(join(to, Buffer.from('sub/file').toString()), 'changed')
      chmodSync(join(to, 'fifo'), 0o644)
      // The changed file has two names.
      assert.equal(await changedSize(to, from), 50 + 2 * 'changed'.length)
    })

    it('removal takes a link, not what it leads to', async () => {
      const dir = makeTree(`remove${more}`, more)
      const outside = join(base, `outside${more}`)
      mkdirSync(outside)
      writeFileSync(join(outside, 'kept'), '')
      symlinkSync(outside, join(dir, 'out'))
      await removeTree(dir)
      await removeTree(dir)
      assert.equal(statSync(dir, { throwIfNoEntry: false }), undefined)
      assert.deepEqual(readdirSync(outside), ['kept'])
    })
  })
}
