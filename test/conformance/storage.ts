import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync } from 'node:fs'
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { pino } from 'pino'
import { loadDriverModule, type DriverContext, type StorageDriver } from '../../shared/drivers/index.ts'
import { isKind, type ErrorKind } from '../../shared/errors/index.ts'
import { AT_FDCWD, getXattr, mknodat, S, setXattr } from '../../shared/kernel/files.ts'
import { parseMountInfo, unmountBelow } from '../../shared/kernel/mounts.ts'

/**
 * What every storage driver must do, on the real kernel (root). `folder` is the driver's folder. Notes for implementors: all verbs are
 * repeated here, in any order; errors are checked by kind, never by wording.
 */
export function storageConformance(name: string, folder: string): void {
  describe(`storage driver ${name}`, () => {
    const base = mkdtempSync(join(process.env['GANTRY_TEST_DIR'] ?? tmpdir(), `gantry-${name}-`))
    let driver: StorageDriver
    let dirs: { stateDir: string; runDir: string }
    let count = 0

    /** A driver as after a restart of the service: what was in memory is gone. */
    const start = async (): Promise<StorageDriver> => {
      const module = await loadDriverModule<StorageDriver, DriverContext>('storage', folder)
      return module.create({ log: pino({ level: 'silent' }), engine: 'gtest', ...dirs })
    }

    beforeEach(async () => {
      const at = join(base, String(++count))
      dirs = { stateDir: join(at, 'state'), runDir: join(at, 'run') }
      for (const dir of Object.values(dirs)) mkdirSync(dir, { recursive: true })
      driver = await start()
    })
    before(async () => {
      const probe = await (await probed()).probe()
      assert.ok(probe.usable, `cannot run here: ${probe.usable ? '' : probe.reason}`)
    })
    const probed = async (): Promise<StorageDriver> => {
      dirs = { stateDir: join(base, 'probe'), runDir: join(base, 'probe-run') }
      for (const dir of Object.values(dirs)) mkdirSync(dir, { recursive: true })
      return start()
    }
    after(() => {
      unmountBelow(base)
      rmSync(base, { recursive: true, force: true })
    })

    const fails = (work: Promise<unknown>, kind: ErrorKind): Promise<void> =>
      assert.rejects(
        work,
        (error: unknown) => isKind(error, kind) || assert.fail(`wanted ${kind}, got ${String(error)}`),
      )

    /** A committed layer with the given files; null as content is a whiteout. */
    async function layer(id: string, parent: string | null, files: Record<string, string | null>): Promise<string> {
      await driver.createLayer(id, parent)
      const dir = await driver.prepare(id)
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(join(dir, path, '..'), { recursive: true })
        if (content !== null) writeFileSync(join(dir, path), content)
        else if (driver.manifest.capabilities['diffFormat'] === 'full') rmSync(join(dir, path), { recursive: true })
        else mknodat(AT_FDCWD, join(dir, path), S.char, 0)
      }
      await driver.commit(id)
      return id
    }

    async function mounted(id: string, parent: string | null): Promise<string> {
      await driver.createWritable(id, parent, {})
      return driver.mount(id)
    }

    const mountsBelow = (dir: string): string[] =>
      parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
        .map((entry) => entry.target)
        .filter((target) => target.startsWith(`${dir}/`))

    it('says what it is', () => {
      const { kind, contract, capabilities, version } = driver.manifest
      assert.equal(kind, 'storage')
      assert.equal(contract, 1)
      assert.match(version, /^\d+\.\d+\.\d+$/)
      assert.equal(typeof capabilities['sharing'], 'boolean')
      assert.equal(typeof capabilities['quota'], 'boolean')
      assert.equal(typeof capabilities['maxDepth'], 'number')
      assert.ok(['overlay', 'full'].includes(String(capabilities['diffFormat'])))
    })

    it('leaves nothing after a probe', async () => {
      await driver.probe()
      assert.deepEqual(mountsBelow(base), [])
    })

    it('shows the content of all layers, the upper ones first', async () => {
      await layer('a', null, { 'etc/one': '1', 'etc/two': 'lower', 'gone/file': 'x', kept: 'k' })
      await layer('b', 'a', { 'etc/two': 'upper', gone: null })
      const root = await mounted('c', 'b')
      assert.equal(readFileSync(join(root, 'etc/one'), 'utf8'), '1')
      assert.equal(readFileSync(join(root, 'etc/two'), 'utf8'), 'upper')
      assert.equal(existsSync(join(root, 'gone')), false)
      assert.deepEqual(readdirSync(root).sort(), ['etc', 'kept'])
    })

    it('keeps writes to the writable layer', async () => {
      await layer('a', null, { file: 'image', doomed: 'x' })
      const [one, two] = [await mounted('w1', 'a'), await mounted('w2', 'a')]
      writeFileSync(join(one, 'file'), 'changed')
      rmSync(join(one, 'doomed'))
      mkdirSync(join(one, 'new'))
      assert.equal(readFileSync(join(two, 'file'), 'utf8'), 'image')
      assert.deepEqual(readdirSync(two).sort(), ['doomed', 'file'])
      await driver.unmount('w1')
      const again = await driver.mount('w1')
      assert.equal(readFileSync(join(again, 'file'), 'utf8'), 'changed')
      assert.deepEqual(readdirSync(again).sort(), ['file', 'new'])
    })

    it('a writable layer may lie on nothing', async () => {
      const root = await mounted('w', null)
      assert.deepEqual(readdirSync(root), [])
      writeFileSync(join(root, 'f'), 'x')
      assert.equal(await driver.mounted('w'), true)
      await driver.unmount('w')
      assert.equal(await driver.mounted('w'), false)
      assert.equal(readFileSync(join(await driver.mount('w'), 'f'), 'utf8'), 'x')
    })

    it('keeps modes, owners, links, devices and attributes', async () => {
      await driver.createLayer('a', null)
      const dir = await driver.prepare('a')
      writeFileSync(join(dir, 'suid'), 'x')
      chownSync(join(dir, 'suid'), 12, 34)
      chmodSync(join(dir, 'suid'), 0o4750)
      linkSync(join(dir, 'suid'), join(dir, 'hard'))
      mknodat(AT_FDCWD, join(dir, 'null'), S.char, 0o666, 1, 3)
      mknodat(AT_FDCWD, join(dir, 'fifo'), S.fifo, 0o600)
      setXattr(join(dir, 'suid'), 'user.test', Buffer.from([0, 255, 10]))
      await driver.commit('a')
      await layer('b', 'a', {})
      const root = await mounted('c', 'b')
      const suid = statSync(join(root, 'suid'))
      assert.deepEqual([suid.uid, suid.gid, suid.mode & 0o7777], [12, 34, 0o4750])
      assert.equal(statSync(join(root, 'hard')).ino, suid.ino)
      assert.equal(lstatSync(join(root, 'null')).rdev, 0x103)
      assert.ok(lstatSync(join(root, 'fifo')).isFIFO())
      assert.deepEqual(getXattr(join(root, 'suid'), 'user.test'), Buffer.from([0, 255, 10]))
    })

    it("the root directory's owner and mode come from below", async () => {
      await driver.createLayer('a', null)
      chmodSync(await driver.prepare('a'), 0o751)
      chownSync(await driver.prepare('a'), 5, 6)
      await driver.commit('a')
      await layer('b', 'a', {})
      const { mode, uid, gid } = statSync(await mounted('c', 'b'))
      assert.deepEqual([mode & 0o7777, uid, gid], [0o751, 5, 6])
    })

    it('repeating any verb changes nothing', async () => {
      await layer('a', null, { f: '1' })
      await driver.createLayer('a', null)
      assert.equal(readFileSync(join(await driver.prepare('a'), 'f'), 'utf8'), '1')
      await driver.commit('a')
      const root = await mounted('w', 'a')
      writeFileSync(join(root, 'g'), '2')
      assert.equal(await driver.mount('w'), root)
      await driver.createWritable('w', 'a', {})
      assert.equal(readFileSync(join(root, 'g'), 'utf8'), '2')
      for (let i = 0; i < 2; i++) await driver.unmount('w')
      assert.equal(readFileSync(join(await driver.mount('w'), 'g'), 'utf8'), '2')
      for (let i = 0; i < 2; i++) await driver.remove('w')
      for (let i = 0; i < 2; i++) await driver.remove('a')
      assert.deepEqual(mountsBelow(dirs.stateDir), [])
    })

    it('what is missing is no error to unmount or remove, and not-found otherwise', async () => {
      await driver.unmount('nope')
      await driver.remove('nope')
      assert.equal(await driver.mounted('nope'), false)
      await fails(driver.prepare('nope'), 'not-found')
      await fails(driver.mount('nope'), 'not-found')
      await fails(
        Promise.resolve().then(() => driver.size('nope')),
        'not-found',
      )
      await fails(driver.data('nope'), 'not-found')
      await fails(driver.commit('nope'), 'not-found')
      await fails(driver.createLayer('x', 'nope'), 'not-found')
      await fails(driver.createWritable('x', 'nope', {}), 'not-found')
      await fails(driver.prepare('x'), 'not-found')
    })

    it('refuses to remove a layer that others lie on', async () => {
      await layer('a', null, { f: '1' })
      await layer('b', 'a', {})
      await fails(driver.remove('a'), 'conflict')
      await driver.remove('b')
      await mounted('w', 'a')
      await fails(driver.remove('a'), 'conflict')
      driver = await start()
      await fails(driver.remove('a'), 'conflict')
      await driver.remove('w')
      await driver.remove('a')
      await fails(driver.prepare('a'), 'not-found')
    })

    it('removes a mounted layer', async () => {
      await layer('a', null, { f: '1' })
      const root = await mounted('w', 'a')
      await driver.remove('w')
      assert.equal(existsSync(join(root, 'f')), false)
      assert.deepEqual(mountsBelow(dirs.stateDir), [])
      assert.equal(readFileSync(join(await driver.prepare('a'), 'f'), 'utf8'), '1')
    })

    it('a writable layer can be committed, and is a parent then', async () => {
      await layer('a', null, { f: '1', g: '1' })
      const root = await mounted('w', 'a')
      writeFileSync(join(root, 'f'), '2')
      rmSync(join(root, 'g'))
      await fails(driver.commit('w'), 'conflict')
      await driver.unmount('w')
      await driver.commit('w')
      const child = await mounted('v', 'w')
      assert.equal(readFileSync(join(child, 'f'), 'utf8'), '2')
      assert.equal(existsSync(join(child, 'g')), false)
    })

    it('knows how much a layer takes', async () => {
      await layer('a', null, { f: 'x'.repeat(10_000) })
      assert.equal(await driver.size('a'), 10_000)
      const root = await mounted('w', 'a')
      assert.equal(await driver.size('w'), 0)
      writeFileSync(join(root, 'g'), 'y'.repeat(500))
      assert.equal(await driver.size('w'), 500)
    })

    it('tells data and status as words', async () => {
      await layer('a', null, {})
      await mounted('w', 'a')
      const words = Object.values(await driver.data('w'))
      assert.ok(words.length > 0 && words.every((word) => typeof word === 'string' && word.includes(dirs.stateDir)))
      for (const pair of await driver.status())
        assert.deepEqual(
          pair.map((word) => typeof word),
          ['string', 'string'],
        )
    })

    it('refuses an option that it does not have', async () => {
      await layer('a', null, {})
      await fails(driver.createWritable('w', 'a', { 'no-such-option': '1' }), 'invalid')
      if (!driver.manifest.capabilities['quota'])
        await fails(driver.createWritable('w', 'a', { size: '1G' }), 'invalid')
      await fails(driver.prepare('w'), 'not-found')
    })

    it('stacks layers as deep as it says', async () => {
      const max = Number(driver.manifest.capabilities['maxDepth']) || 130
      const depth = Math.min(max, 130)
      let parent: string | null = null
      for (let i = 0; i < depth; i++) parent = await layer(`layer${i}`, parent, { [`f${i}`]: String(i) })
      const root = await mounted('w', parent)
      assert.equal(readdirSync(root).length, depth)
      assert.equal(readFileSync(join(root, 'f0'), 'utf8'), '0')
      writeFileSync(join(root, 'f0'), 'changed')
      await driver.unmount('w')
    })

    it('works on many layers at once', async () => {
      await layer('a', null, { f: '1' })
      const ids = Array.from({ length: 20 }, (_, i) => `w${i}`)
      const roots = await Promise.all(ids.map((id) => mounted(id, 'a')))
      roots.forEach((root, i) => writeFileSync(join(root, 'mine'), String(i)))
      roots.forEach((root, i) => assert.equal(readFileSync(join(root, 'mine'), 'utf8'), String(i)))
      await Promise.all(ids.map((id) => driver.remove(id)))
      assert.deepEqual(mountsBelow(dirs.stateDir), [])
      await driver.remove('a')
    })

    it('recovers: keeps what is known, mounts included, and removes the rest', async () => {
      await layer('a', null, { f: '1' })
      await layer('b', 'a', { g: '2' })
      await layer('lost', 'b', { h: '3' })
      await driver.createLayer('half', 'a')
      const root = await mounted('w', 'b')
      await mounted('orphan', 'lost')
      driver = await start()
      const removed = await driver.recover(new Set(['a', 'b', 'w']))
      assert.deepEqual([...removed].sort(), ['half', 'lost', 'orphan'])
      assert.equal(await driver.mounted('w'), true)
      assert.equal(await driver.mount('w'), root)
      assert.equal(readFileSync(join(root, 'g'), 'utf8'), '2')
      for (const id of removed) await fails(driver.prepare(id), 'not-found')
      await driver.remove('w')
      await driver.remove('b')
      await driver.remove('a')
      assert.deepEqual(await driver.recover(new Set()), [])
    })

    it('leaves nothing when it is killed at any point', async () => {
      await layer('a', null, Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`d${i}/f`, 'content'])))
      for (let i = 0; i < 12; i++) {
        const args = [join(import.meta.dirname, 'storage-churn.ts'), folder, dirs.stateDir, dirs.runDir, String(i)]
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
        await once(child.stdout, 'data')
        await new Promise((resolve) => setTimeout(resolve, 2 + i * 3))
        child.kill('SIGKILL')
        await once(child, 'exit')
        driver = await start()
        await driver.recover(new Set(['a']))
        assert.deepEqual(mountsBelow(dirs.stateDir), [])
        // Whatever the driver's form of storage is: after this there is no trace of other layers' ids.
        const names = readdirSync(dirs.stateDir, { recursive: true, encoding: 'utf8' })
        assert.deepEqual(
          names.filter((entry) => entry.includes('churn')),
          [],
        )
        assert.equal(readFileSync(join(await mounted(`check${i}`, 'a'), 'd0/f'), 'utf8'), 'content')
        await driver.remove(`check${i}`)
      }
    })
  })
}
