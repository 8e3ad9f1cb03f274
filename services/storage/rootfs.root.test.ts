import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { MountRequest } from '../../shared/contracts/index.ts'
import { isKind, type ErrorKind } from '../../shared/errors/index.ts'
import { importTar, leftovers, makeTar, startTestStorage, type TestStorage } from './testing.ts'

const ESCAPE = '../../../../../..'
const idOf = (n: number): string => n.toString(16).padStart(64, 'a')
const volume = (source: string, target: string, more: Partial<MountRequest> = {}): MountRequest => ({
  ...{ type: 'volume', source, target, readOnly: false },
  ...more,
})
const bind = (source: string, target: string, more: Partial<MountRequest> = {}): MountRequest => ({
  ...{ type: 'bind', source, target, readOnly: false },
  ...more,
})
const tmpfs = (target: string, tmpfsOptions = ''): MountRequest => ({
  ...{ type: 'tmpfs', source: '', target, readOnly: false, tmpfsOptions },
})

for (const driver of ['overlay2', 'vfs']) {
  describe(`root file systems and volumes on ${driver}`, () => {
    let storage: TestStorage
    let host: string

    before(async () => {
      storage = await startTestStorage({ driver })
      host = mkdtempSync(join(tmpdir(), 'gantry-host-'))
      const tar = await makeTar([
        { name: 'etc/', type: 'directory' },
        { name: 'etc/hosts', content: "the image's own" },
        { name: 'data/', type: 'directory', mode: 0o2750, uid: 12, gid: 34 },
        { name: 'data/file', content: 'from the image', uid: 12 },
        { name: 'empty/', type: 'directory', mode: 0o700, uid: 7 },
        { name: 'escape', type: 'symlink', linkname: ESCAPE },
      ])
      await importTar(storage, 'app', tar)
    })
    after(async () => {
      await storage.destroy()
      rmSync(host, { recursive: true, force: true })
    })
    afterEach(async () => {
      await storage.call['rootfs.reconcile']({ keep: [] })
      for (const row of await storage.call['volume.list']({ filters: {} })) {
        await storage.call['volume.remove']({ ref: row['Name'] as string, force: true })
      }
      assert.deepEqual(
        leftovers(storage).filter((path) => /volume|\/a{20}/.test(path)),
        [],
      )
      assert.equal(storage.store.get<{ n: number }>('SELECT count(*) AS n FROM volume_users')?.n, 0)
    })

    const create = (n: number, mounts: MountRequest[] = [], more: object = {}) =>
      storage.call['rootfs.create']({ id: idOf(n), image: 'app', mounts, ...more })
    const mount = (n: number) => storage.call['rootfs.mount']({ id: idOf(n) })
    const unmount = (n: number) => storage.call['rootfs.unmount']({ id: idOf(n) })
    const remove = (n: number, volumes = false) => storage.call['rootfs.remove']({ id: idOf(n), volumes })
    const volumes = async (filters: Record<string, string[]> = {}) =>
      (await storage.call['volume.list']({ filters })).map((row) => row['Name'])
    const fails = (work: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
      assert.rejects(work, (error: unknown) => {
        assert.ok(isKind(error, kind), `wanted ${kind}, got ${String(error)}`)
        assert.match(error.message, message)
        return true
      })
    const eventsSince = (from: number) =>
      storage
        .events()
        .slice(from)
        .map((event) => `${event.Type} ${event.Action}`)

    it("has the image's content and every mount point", async () => {
      const created = await create(1)
      assert.equal(created.driver, driver)
      assert.ok(Object.keys(created.data).length > 0)
      const { path, mounts } = await mount(1)
      assert.deepEqual(mounts, [])
      assert.equal(readFileSync(join(path, 'etc/hosts'), 'utf8'), "the image's own")
      for (const name of ['dev/pts', 'dev/shm', 'proc', 'sys']) assert.ok(statSync(join(path, name)).isDirectory())
      for (const name of ['.dockerenv', 'etc/hostname', 'etc/resolv.conf', 'dev/console']) {
        assert.equal(statSync(join(path, name)).size, 0)
      }
      // Mount points are no change of the container's.
      assert.deepEqual(await storage.call['rootfs.size']({ id: idOf(1) }), { rw: 0, total: 29 + ESCAPE.length })
      writeFileSync(join(path, 'new'), 'x'.repeat(1000))
      assert.deepEqual(await storage.call['rootfs.size']({ id: idOf(1) }), { rw: 1000, total: 1029 + ESCAPE.length })
    })

    it('every verb may be repeated', async () => {
      const first = await create(1, [volume('', '/data')])
      assert.deepEqual(await create(1, [volume('', '/data')]), first)
      const mounted = await mount(1)
      assert.deepEqual(await mount(1), mounted)
      for (let i = 0; i < 2; i++) await unmount(1)
      for (let i = 0; i < 2; i++) await remove(1, true)
      assert.deepEqual(await volumes(), [])
      await unmount(9)
      await fails(mount(9), 'not-found', /no root file system/)
    })

    it('refuses unknown images, drivers and options, and leaves nothing', async () => {
      await fails(create(1, [], { image: 'nope' }), 'not-found', /No such image: nope:latest/)
      await fails(create(1, [], { driver: 'nope' }), 'not-found', /driver "nope" not found/)
      await fails(create(1, [], { storageOptions: { size: '1G' } }), 'invalid', /size|storage-opt/)
      await fails(
        create(1, [volume('', '/data'), volume('xx', '/b', { volumeDriver: 'nope' })]),
        'not-found',
        /volume driver "nope"/,
      )
      assert.deepEqual(await volumes(), [])
      assert.deepEqual(storage.store.all('SELECT id FROM rootfs'), [])
    })

    it("refuses bad mounts in Docker's words", async () => {
      const cases: [MountRequest[], RegExp][] = [
        [
          [bind('/no/such/path', '/x')],
          /^invalid mount config for type "bind": bind source path does not exist: \/no\/such\/path$/,
        ],
        [[bind('relative', '/x')], /invalid mount path: 'relative' mount path must be absolute/],
        [[bind('/tmp', 'x')], /invalid mount path: 'x' mount path must be absolute/],
        [[bind('', '/x')], /field Source must not be empty/],
        [[bind('/tmp', '')], /field Target must not be empty/],
        [[bind('/tmp', '/a/..')], /destination can't be '\/'/],
        [[bind('/tmp', '/x'), tmpfs('/x/')], /^Duplicate mount point: \/x$/],
        [[bind('/tmp', '/x', { propagation: 'sideways' })], /invalid propagation mode: sideways/],
        [[tmpfs('/x', 'sized=1')], /invalid tmpfs option "sized=1"/],
        [[volume('a', '/x')], /volume name is too short/],
        [[volume('a/b', '/x')], /includes invalid characters for a local volume name/],
        [[volume('vol', '/x', { volumeOptions: { nope: '1' } })], /invalid option: "nope"/],
      ]
      for (const [mounts, message] of cases) {
        await fails(create(1, mounts), 'invalid', message)
        assert.deepEqual(await volumes(), [])
      }
    })

    it('binds: options, files, sources made on start', async () => {
      writeFileSync(join(host, 'file'), 'x')
      const made = join(host, 'made/deep')
      const created = await create(1, [
        bind(`${host}/`, '/a/b', { readOnly: true, mode: 'ro' }),
        bind(join(host, 'file'), '/f', { nonRecursive: true, readOnly: true }),
        bind(made, '/a', { createSource: true, propagation: 'private' }),
        bind(host, '/c', { readOnly: true, readOnlyNonRecursive: true }),
      ])
      assert.deepEqual(created.mountPoints[0], {
        ...{ Type: 'bind', Source: host, Destination: '/a/b', Mode: 'ro', RW: false, Propagation: 'rprivate' },
      })
      assert.equal(existsSync(made), false)
      const { mounts } = await mount(1)
      assert.deepEqual(mounts, [
        { type: 'bind', source: join(host, 'file'), destination: '/f', options: ['bind', 'rprivate', 'ro'] },
        { type: 'bind', source: made, destination: '/a', options: ['rbind', 'private', 'rw'] },
        { type: 'bind', source: host, destination: '/c', options: ['rbind', 'rprivate', 'ro'] },
        { type: 'bind', source: host, destination: '/a/b', options: ['rbind', 'rprivate', 'rro'] },
      ])
      assert.ok(statSync(made).isDirectory())
    })

    it('a bind whose source vanished fails at start, with nothing mounted', async () => {
      mkdirSync(join(host, 'gone'))
      await create(1, [volume('', '/data'), bind(join(host, 'gone'), '/x')])
      rmSync(join(host, 'gone'), { recursive: true })
      await fails(mount(1), 'invalid', /bind source path does not exist/)
      assert.equal(storage.store.get<{ n: number }>('SELECT sum(mounted) AS n FROM volume_users')?.n, 0)
    })

    it('shared propagation needs a shared source', async () => {
      const own = join(host, 'own')
      mkdirSync(own)
      execFileSync('mount', ['-t', 'tmpfs', '--make-private', 'tmpfs', own])
      try {
        await create(1, [bind(own, '/x', { propagation: 'rshared' })])
        await fails(mount(1), 'invalid', /is mounted on .* but it is not a shared mount/)
        execFileSync('mount', ['--make-shared', own])
        assert.deepEqual((await mount(1)).mounts[0]?.options, ['rbind', 'rshared', 'rw'])
      } finally {
        execFileSync('umount', [own])
      }
    })

    it('tmpfs: defaults and overrides', async () => {
      await create(1, [tmpfs('/a'), tmpfs('/b', 'exec,size=64m,mode=1777,ro')])
      const { mounts } = await mount(1)
      assert.deepEqual(
        mounts.map((m) => [m.type, m.source, m.options]),
        [
          ['tmpfs', 'tmpfs', ['noexec', 'nosuid', 'nodev', 'rprivate']],
          ['tmpfs', 'tmpfs', ['nosuid', 'nodev', 'rprivate', 'exec', 'size=64m', 'mode=1777', 'ro']],
        ],
      )
    })

    it('a new volume gets what the image has there, with owner and mode', async () => {
      const created = await create(1, [
        volume('named', '/data'),
        volume('', '/empty'),
        volume('bare', '/data/x', { noCopy: true }),
      ])
      const [named = '', empty = '', bare = ''] = created.mountPoints.map((point) => point.Source)
      assert.deepEqual([created.mountPoints[0]?.Name, created.mountPoints[0]?.Driver], ['named', 'local'])
      assert.match(created.mountPoints[1]?.Name ?? '', /^[0-9a-f]{64}$/)
      assert.equal(readFileSync(join(named, 'file'), 'utf8'), 'from the image')
      const stat = statSync(named)
      assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [12, 34, 0o2750])
      assert.deepEqual([statSync(empty).uid, statSync(empty).mode & 0o7777], [7, 0o700])
      assert.deepEqual(readdirSync(bare), [])
      // What is in use is not filled again.
      writeFileSync(join(named, 'file'), 'mine')
      rmSync(join(named, 'file'))
      writeFileSync(join(named, 'other'), 'mine')
      await create(2, [volume('named', '/data')])
      assert.deepEqual(readdirSync(named), ['other'])
    })

    it('copying into a volume does not follow links out of the image', async () => {
      const created = await create(1, [volume('esc', '/escape/etc')])
      assert.deepEqual(readdirSync(created.mountPoints[0]?.Source ?? '').sort(), [
        'hostname',
        'hosts',
        'mtab',
        'resolv.conf',
      ])
    })

    it('anonymous volumes go with their container, named ones stay', async () => {
      await create(1, [volume('', '/data'), volume('named', '/x')])
      await create(2, [volume('', '/data')])
      assert.equal((await volumes()).length, 3)
      await remove(1, true)
      assert.deepEqual((await volumes()).includes('named'), true)
      assert.equal((await volumes()).length, 2)
      await remove(2, false)
      assert.equal((await volumes({ dangling: ['true'] })).length, 2)
      assert.deepEqual((await storage.call['volume.prune']({ filters: {} })).VolumesDeleted.length, 1)
      assert.deepEqual(await volumes(), ['named'])
      assert.deepEqual((await storage.call['volume.prune']({ filters: { all: ['true'] } })).VolumesDeleted, ['named'])
    })

    it('an anonymous volume that another container took over stays with it', async () => {
      const [point] = (await create(1, [volume('', '/data')])).mountPoints
      await create(2, [volume(point?.Name ?? '', '/data')])
      await remove(1, true)
      assert.deepEqual(await volumes(), [point?.Name])
      await fails(
        storage.call['volume.remove']({ ref: point?.Name ?? '', force: true }),
        'conflict',
        /volume is in use/,
      )
    })

    it('volume verbs', async () => {
      const from = storage.events().length
      const made = await storage.call['volume.create']({
        name: 'vol',
        driver: 'local',
        options: {},
        labels: { a: 'b' },
      })
      assert.deepEqual(Object.keys(made).sort(), [
        'CreatedAt',
        'Driver',
        'Labels',
        'Mountpoint',
        'Name',
        'Options',
        'Scope',
      ])
      assert.deepEqual(
        [made['Name'], made['Driver'], made['Labels'], made['Options'], made['Scope']],
        ['vol', 'local', { a: 'b' }, null, 'local'],
      )
      assert.deepEqual(await storage.call['volume.create']({ name: 'vol', driver: '', options: {}, labels: {} }), made)
      assert.deepEqual(await storage.call['volume.inspect']({ ref: 'vol' }), made)
      const anonymous = await storage.call['volume.create']({ name: '', driver: 'local', options: {}, labels: {} })
      assert.deepEqual(anonymous['Labels'], { 'com.docker.volume.anonymous': '' })
      assert.deepEqual(await volumes({ label: ['a=b'] }), ['vol'])
      assert.deepEqual(await volumes({ name: ['^vo'] }), ['vol'])
      assert.deepEqual(await volumes({ driver: ['nope'] }), [])
      await fails(storage.call['volume.list']({ filters: { nope: ['1'] } }), 'invalid', /invalid filter 'nope'/)
      await fails(storage.call['volume.inspect']({ ref: 'nope' }), 'not-found', /^get nope: no such volume$/)
      await fails(storage.call['volume.remove']({ ref: 'nope', force: false }), 'not-found', /no such volume/)
      await storage.call['volume.remove']({ ref: 'nope', force: true })
      await create(1, [volume('vol', '/v')])
      await fails(
        storage.call['volume.remove']({ ref: 'vol', force: false }),
        'conflict',
        new RegExp(`^remove vol: volume is in use - \\[${idOf(1)}\\]$`),
      )
      await mount(1)
      await unmount(1)
      await remove(1, true)
      await storage.call['volume.remove']({ ref: 'vol', force: false })
      const told = eventsSince(from)
      assert.deepEqual(told, ['volume create', 'volume create', 'volume mount', 'volume unmount', 'volume destroy'])
    })

    it('a volume with options is mounted while it is used', async () => {
      const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=700' }
      const made = await storage.call['volume.create']({ name: 'ram', driver: 'local', options, labels: {} })
      assert.deepEqual(made['Options'], options)
      const path = made['Mountpoint'] as string
      const kind = (): string => execFileSync('stat', ['-f', '-c', '%T', path]).toString().trim()
      const plain = kind()
      for (const n of [1, 2]) await create(n, [volume('ram', '/data')])
      assert.equal(kind(), plain)
      await mount(1)
      await mount(2)
      assert.equal(kind(), 'tmpfs')
      writeFileSync(join(path, 'f'), 'x')
      await unmount(1)
      assert.equal(kind(), 'tmpfs')
      await unmount(2)
      assert.equal(kind(), plain)
      const source = join(host, 'source')
      mkdirSync(source)
      writeFileSync(join(source, 'f'), 'bound')
      const bound = { type: 'none', device: source, o: 'bind,ro' }
      await create(3, [volume('bound', '/b', { volumeOptions: bound })])
      const [mounted] = (await mount(3)).mounts
      assert.equal(readFileSync(join(mounted?.source ?? '', 'f'), 'utf8'), 'bound')
      assert.throws(() => writeFileSync(join(mounted?.source ?? '', 'g'), ''), /EROFS/)
      await remove(3)
      await storage.call['volume.remove']({ ref: 'bound', force: false })
      assert.equal(readFileSync(join(source, 'f'), 'utf8'), 'bound')
      const broken = { type: 'nosuchfs', device: '/dev/null' }
      await create(4, [volume('broken', '/b', { volumeOptions: broken, noCopy: true })])
      await fails(mount(4), 'internal', /failed to mount local volume/)
    })

    it('reconcile removes what the engine does not know', async () => {
      for (const n of [1, 2, 3]) await create(n, [volume('', '/data')])
      await mount(2)
      assert.deepEqual((await storage.call['rootfs.reconcile']({ keep: [idOf(1)] })).removed.sort(), [idOf(2), idOf(3)])
      assert.equal((await volumes()).length, 1)
    })

    it('a restart keeps mounts that are alive, and removes what nobody owns', async () => {
      const ram = { type: 'tmpfs', device: 'tmpfs' }
      await create(1, [volume('ram', '/ram', { volumeOptions: ram }), volume('', '/data')])
      const { path, mounts } = await mount(1)
      writeFileSync(join(path, 'alive'), 'x')
      writeFileSync(join(mounts[0]?.source ?? '', 'alive'), 'y')
      await create(2)
      await mount(2)
      storage.store.run('DELETE FROM rootfs WHERE id = ?', idOf(2))
      storage.store.run("INSERT INTO volumes VALUES ('half', 'local', '{}', '{}', 0, 'creating', NULL, 0)")
      symlinkSync('/nowhere', join(storage.root, 'storage/layers/stray.split'))
      await storage.stop()
      storage = await startTestStorage({ root: storage.root, driver })
      assert.equal(readFileSync(join(path, 'alive'), 'utf8'), 'x')
      assert.equal((await mount(1)).path, path)
      assert.equal(readFileSync(join(mounts[0]?.source ?? '', 'alive'), 'utf8'), 'y')
      assert.ok(!(await volumes()).includes('half'))
      assert.deepEqual(
        leftovers(storage).filter((name) => name.includes(idOf(2)) || name.includes('stray')),
        [],
      )
    })
  })
}
