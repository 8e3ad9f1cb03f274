import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, afterEach, before, describe, it } from 'node:test'
import { extract as tarExtract } from 'tar-stream'
import { isKind, type ErrorKind } from '../../shared/errors/index.ts'
import { importTar, leftovers, makeTar, startTestStorage, type TarMember, type TestStorage } from './testing.ts'

const digest = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** Reads an archive with npm's tar-stream. */
async function untar(archive: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  const extract = tarExtract()
  extract.end(archive)
  for await (const entry of extract) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    files.set(entry.header.name, Buffer.concat(chunks))
  }
  return files
}

const json = (files: Map<string, Buffer>, name: string): unknown => JSON.parse(files.get(name)?.toString() ?? 'null')

for (const driver of ['overlay2', 'vfs']) {
  describe(`images on ${driver}`, () => {
    let storage: TestStorage
    let tar: Buffer

    before(async () => {
      storage = await startTestStorage({ driver })
      tar = await makeTar([
        { name: 'bin/', type: 'directory' },
        { name: 'bin/sh', content: 'shell', mode: 0o755 },
        { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\n' },
      ])
    })
    after(() => storage.destroy())
    afterEach(async () => {
      for (const image of await storage.call['image.list']({ all: true, filters: {} })) {
        for (const ref of [...(image['RepoTags'] as string[]), image['Id'] as string]) {
          await storage.call['image.remove']({ ref, force: true, noPrune: false }).catch(() => undefined)
        }
      }
      assert.deepEqual(leftovers(storage), [])
    })

    const fails = (work: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
      assert.rejects(work, (error: unknown) => {
        assert.ok(isKind(error, kind), `wanted ${kind}, got ${String(error)}`)
        assert.match(error.message, message)
        return true
      })

    const list = (filters: Record<string, string[]> = {}, all = false) => storage.call['image.list']({ all, filters })
    const tagsOf = async (filters: Record<string, string[]>) =>
      (await list(filters)).flatMap((image) => image['RepoTags'] as string[]).sort()
    const remove = (ref: string, force = false) => storage.call['image.remove']({ ref, force, noPrune: false })
    const load = async (archive: Buffer): Promise<string> =>
      (await storage.transfer(await storage.call['image.load']({ quiet: true }), [archive])).toString()
    const save = async (...refs: string[]): Promise<Buffer> =>
      storage.transfer(await storage.call['image.save']({ refs }))
    const eventsSince = (from: number) =>
      storage
        .events()
        .slice(from)
        .map((event) => `${event.Type} ${event.Action} ${event.Actor.Attributes['name'] ?? ''}`)

    it('import: the image is there, with its configuration, and events tell it', async () => {
      const from = storage.events().length
      const id = await importTar(storage, 'my/app:1', tar, ['CMD ["sh"]', 'ENV A=b', 'LABEL l=1'])
      const image = await storage.call['image.inspect']({ ref: 'my/app:1' })
      assert.equal(image['Id'], id)
      assert.deepEqual(image['RepoTags'], ['my/app:1'])
      assert.deepEqual(image['Config'], { Cmd: ['sh'], Env: ['A=b'], Labels: { l: '1' } })
      assert.deepEqual(image['RootFS'], { Type: 'layers', Layers: [`sha256:${digest(tar)}`] })
      assert.equal(image['Os'], 'linux')
      assert.equal((image['GraphDriver'] as { Name: string }).Name, driver)
      assert.deepEqual(eventsSince(from), [`image import ${id}`, 'image tag my/app:1'])
      const history = await storage.call['image.history']({ ref: id })
      assert.deepEqual(
        history.map((item) => [item['Id'], item['Comment'], item['Tags']]),
        [[id, 'Imported from -', ['my/app:1']]],
      )
      assert.deepEqual((await storage.call['image.resolve']({ ref: id.slice(7, 19) })).config, image['Config'])
    })

    it('import: one layer for the same content; the name moves on', async () => {
      const first = await importTar(storage, 'app', tar)
      const second = await importTar(storage, 'app', tar)
      assert.notEqual(first, second)
      assert.deepEqual((await storage.call['image.inspect']({ ref: first }))['RepoTags'], [])
      assert.equal(storage.store.all('SELECT id FROM layers').length, 1)
      const pruned = await storage.call['image.prune']({ filters: {} })
      assert.deepEqual(pruned, { ImagesDeleted: [{ Deleted: first }], SpaceReclaimed: 0 })
    })

    it('import: bad requests are refused before a byte is read', async () => {
      const request = { repo: 'app', tag: '', message: '', changes: [] as string[] }
      await fails(storage.call['image.import']({ ...request, repo: 'App' }), 'invalid', /must be lowercase/)
      await fails(storage.call['image.import']({ ...request, tag: 'a b' }), 'invalid', /invalid reference format/)
      await fails(
        storage.call['image.import']({ ...request, changes: ['NOPE x'] }),
        'invalid',
        /unknown instruction: NOPE/,
      )
      await fails(
        storage.call['image.import']({ ...request, platform: 'windows/amd64' }),
        'invalid',
        /not supported: "windows"/,
      )
    })

    it('import: a bad archive leaves nothing', async () => {
      const bad: [Buffer, RegExp][] = [
        [tar.subarray(0, 1000), /cut short/],
        [Buffer.alloc(0), /empty or cut short/],
        [Buffer.from('this is no archive '.repeat(100)), /not a tar archive/],
        [Buffer.from('1f8b08000000', 'hex'), /damaged or truncated gzip/],
        [Buffer.concat([Buffer.from('fd377a585a00', 'hex'), Buffer.alloc(50)]), /damaged or truncated xz/],
        [
          await makeTar([
            { name: 'ok', content: 'x' },
            { name: '../../etc/evil', content: 'x' },
          ]),
          /leads out of/,
        ],
        [Buffer.concat([tar.subarray(0, 1024), Buffer.alloc(512, 1), tar.subarray(1024)]), /tar/],
      ]
      for (const [archive, message] of bad) {
        await fails(importTar(storage, 'bad', archive), 'invalid', message)
        assert.deepEqual(leftovers(storage), [])
        assert.deepEqual(await list(), [])
      }
    })

    it('names: tag, resolve, ambiguous and unknown', async () => {
      const id = await importTar(storage, 'app:1', tar)
      await storage.call['image.tag']({ ref: 'app:1', repo: 'localhost:5000/x', tag: 'y' })
      await storage.call['image.tag']({ ref: id, repo: 'localhost:5000/x', tag: 'y' })
      assert.equal((await storage.call['image.resolve']({ ref: 'localhost:5000/x:y' })).id, id)
      assert.equal((await storage.call['image.resolve']({ ref: 'docker.io/library/app:1' })).id, id)
      await fails(storage.call['image.resolve']({ ref: 'app' }), 'not-found', /^No such image: app:latest$/)
      await fails(storage.call['image.inspect']({ ref: 'nope/x:1' }), 'not-found', /^No such image: nope\/x:1$/)
      await fails(storage.call['image.inspect']({ ref: 'A b' }), 'invalid', /invalid reference format/)
      await fails(storage.call['image.tag']({ ref: 'app:1', repo: 'Bad', tag: '' }), 'invalid', /lowercase/)
      await fails(
        storage.call['image.tag']({ ref: 'nope', repo: 'a', tag: '' }),
        'not-found',
        /No such image: nope:latest/,
      )
      const missing = `sha256:${'0'.repeat(64)}`
      await fails(
        storage.call['image.inspect']({ ref: missing }),
        'not-found',
        new RegExp(`^No such image: ${missing}$`),
      )
      // Seventeen images: two of them begin with the same digit.
      for (let i = 0; i < 17; i++) await importTar(storage, 'many', await makeTar([{ name: 'f', content: String(i) }]))
      const starts = (await list()).map((image) => (image['Id'] as string).charAt(7))
      const twice = starts.find((digit, i) => starts.indexOf(digit) !== i) ?? ''
      await fails(storage.call['image.inspect']({ ref: twice }), 'conflict', /ambiguous/)
    })

    it('list: filters', async () => {
      await importTar(storage, 'one:1', tar, ['LABEL color=red'])
      await new Promise((resolve) => setTimeout(resolve, 5))
      await importTar(storage, 'reg.example/two:2', tar, ['LABEL color=blue'])
      await new Promise((resolve) => setTimeout(resolve, 5))
      const dangling = await importTar(storage, '', tar)
      assert.deepEqual(
        (await list()).map((image) => image['RepoTags']),
        [[], ['reg.example/two:2'], ['one:1']],
      )
      assert.deepEqual(
        (await list({ dangling: ['true'] })).map((image) => image['Id']),
        [dangling],
      )
      assert.deepEqual(await tagsOf({ dangling: ['false'] }), ['one:1', 'reg.example/two:2'])
      assert.deepEqual(await tagsOf({ label: ['color=blue'] }), ['reg.example/two:2'])
      assert.deepEqual(await tagsOf({ reference: ['one'] }), ['one:1'])
      assert.deepEqual(await tagsOf({ reference: ['*/two', 'o*:1'] }), ['one:1', 'reg.example/two:2'])
      assert.deepEqual(await tagsOf({ before: ['reg.example/two:2'] }), ['one:1'])
      assert.deepEqual(await tagsOf({ since: ['one:1'] }), ['reg.example/two:2'])
      assert.deepEqual(await tagsOf({ until: ['1h'] }), [])
      await fails(list({ nope: ['1'] }), 'invalid', /invalid filter 'nope'/)
      await fails(list({ before: ['nope'] }), 'not-found', /No such image/)
    })

    it("remove: Docker's rules", async () => {
      const from = storage.events().length
      const id = await importTar(storage, 'app:1', tar)
      await storage.call['image.tag']({ ref: id, repo: 'app', tag: '2' })
      await storage.call['image.tag']({ ref: id, repo: 'other', tag: '' })
      assert.deepEqual(await remove('app:2'), [{ Untagged: 'app:2' }])
      await fails(
        remove(id),
        'conflict',
        /unable to delete [0-9a-f]{12} \(must be forced\) - image is referenced in multiple repositories/,
      )
      assert.deepEqual(await remove(id, true), [
        { Untagged: 'app:1' },
        { Untagged: 'other:latest' },
        { Deleted: id },
        { Deleted: `sha256:${digest(tar)}` },
      ])
      await fails(remove(id), 'not-found', /No such image/)
      assert.deepEqual(eventsSince(from).slice(-4), [
        `image untag ${id}`,
        `image untag ${id}`,
        `image untag ${id}`,
        `image delete ${id}`,
      ])
    })

    it('remove: an image in use', async () => {
      const id = await importTar(storage, 'app:1', tar)
      const container = 'c'.repeat(64)
      await storage.call['rootfs.create']({ id: container, image: 'app:1', mounts: [] })
      const short = id.slice(7, 19)
      const inUse =
        'conflict: unable to remove repository reference "app:1" \\(must force\\) - container cccccccccccc is using its referenced image'
      await fails(remove('app:1'), 'conflict', new RegExp(`${inUse} ${short}`))
      await fails(
        remove(short),
        'conflict',
        new RegExp(
          `unable to delete ${short} \\(must be forced\\) - image is being used by stopped container cccccccccccc`,
        ),
      )
      await storage.call['rootfs.mount']({ id: container })
      await fails(
        remove(short, true),
        'conflict',
        new RegExp(
          `unable to delete ${short} \\(cannot be forced\\) - image is being used by running container cccccccccccc`,
        ),
      )
      await storage.call['rootfs.unmount']({ id: container })
      assert.deepEqual(await remove('app:1', true), [{ Untagged: 'app:1' }, { Deleted: id }])
      // The container goes on without its image.
      assert.ok((await storage.call['rootfs.mount']({ id: container })).path)
      await storage.call['rootfs.remove']({ id: container, volumes: true })
    })

    it('prune: dangling images, or all unused ones', async () => {
      await importTar(storage, 'used', tar)
      const container = 'd'.repeat(64)
      await storage.call['rootfs.create']({ id: container, image: 'used', mounts: [] })
      const unused = await importTar(storage, 'unused', await makeTar([{ name: 'f', content: 'x'.repeat(100) }]))
      assert.deepEqual((await storage.call['image.prune']({ filters: {} })).ImagesDeleted, [])
      const pruned = await storage.call['image.prune']({ filters: { dangling: ['false'] } })
      assert.deepEqual(pruned.ImagesDeleted.slice(0, 2), [{ Untagged: 'unused:latest' }, { Deleted: unused }])
      assert.equal(pruned.SpaceReclaimed, 100)
      assert.deepEqual(await tagsOf({}), ['used:latest'])
      await storage.call['rootfs.remove']({ id: container, volumes: true })
    })

    it('save and load: the same images, byte for byte', async () => {
      const id = await importTar(storage, 'app:1', tar, ['CMD ["x"]'])
      const other = await importTar(storage, 'other:2', await makeTar([{ name: 'f', content: 'other' }]))
      await storage.call['image.tag']({ ref: id, repo: 'app', tag: '2' })
      const from = storage.events().length
      const archive = await save('app', 'other:2', id)
      assert.deepEqual(eventsSince(from), [`image save ${id}`, `image save ${other}`])
      const files = await untar(archive)
      for (const [name, content] of files) {
        const hex = /^blobs\/sha256\/(.*)$/.exec(name)?.[1]
        if (hex !== undefined) assert.equal(digest(content), hex)
      }
      assert.deepEqual(files.get(`blobs/sha256/${digest(tar)}`), tar)
      const manifest = json(files, 'manifest.json') as { Config: string; RepoTags: string[]; Layers: string[] }[]
      assert.deepEqual(
        manifest.map((image) => [image.Config, image.RepoTags, image.Layers.length]),
        [
          [`blobs/sha256/${id.slice(7)}`, ['app:1', 'app:2'], 1],
          [`blobs/sha256/${other.slice(7)}`, ['other:2'], 1],
        ],
      )
      assert.deepEqual(json(files, 'oci-layout'), { imageLayoutVersion: '1.0.0' })
      for (const ref of ['app:1', 'app:2', 'other:2']) await remove(ref)
      assert.deepEqual(leftovers(storage), [])
      const said = await load(archive)
      for (const name of ['app:1', 'app:2', 'other:2']) assert.ok(said.includes(`Loaded image: ${name}\\n`), said)
      assert.equal((await storage.call['image.resolve']({ ref: 'app:2' })).id, id)
      assert.deepEqual(await save('app', 'other:2', id), archive)
    })

    it('save: unknown images are refused', async () => {
      await fails(save('nope'), 'not-found', /No such image: nope:latest/)
    })

    it('load: without its docker parts it is an OCI layout, also compressed', async () => {
      const id = await importTar(storage, 'app:1', tar)
      const files = await untar(await save('app:1'))
      await remove('app:1')
      files.delete('manifest.json')
      files.delete('repositories')
      assert.match(await load(await repack(files)), /Loaded image: app:1/)
      assert.equal((await storage.call['image.resolve']({ ref: 'app:1' })).id, id)
    })

    it('load: the layout of Docker before 25', async () => {
      const config = JSON.stringify({
        os: 'linux',
        architecture: 'amd64',
        rootfs: { type: 'layers', diff_ids: [`sha256:${digest(tar)}`, `sha256:${digest(tar)}`] },
      })
      const hex = digest(config)
      const archive = await makeTar([
        { name: 'first/layer.tar', content: tar },
        { name: 'second/layer.tar', type: 'symlink', linkname: '../first/layer.tar' },
        { name: `${hex}.json`, content: config },
        {
          name: 'manifest.json',
          content: JSON.stringify([
            { Config: `${hex}.json`, RepoTags: ['old:1'], Layers: ['first/layer.tar', 'second/layer.tar'] },
          ]),
        },
      ])
      assert.match(await load(archive), /Loaded image: old:1/)
      assert.equal((await storage.call['image.inspect']({ ref: 'old:1' }))['Id'], `sha256:${hex}`)
      assert.equal(storage.store.all('SELECT id FROM layers').length, 2)
    })

    const repack = (files: Map<string, Buffer>): Promise<Buffer> =>
      makeTar([...files].map(([name, content]): TarMember => ({ name, content })))

    it('load: anything wrong, and nothing is loaded', async () => {
      const id = await importTar(storage, 'good:1', tar)
      await importTar(storage, 'good:2', await makeTar([{ name: 'f', content: 'second' }]))
      const archive = await save('good')
      await remove('good:1')
      await remove('good:2')
      const layer = `blobs/sha256/${digest(tar)}`
      const change = async (edit: (files: Map<string, Buffer>) => void): Promise<Buffer> => {
        const files = await untar(archive)
        edit(files)
        return repack(files)
      }
      const manifest = (edit: (images: Record<string, unknown>[]) => unknown) => (files: Map<string, Buffer>) => {
        const images = json(files, 'manifest.json') as Record<string, unknown>[]
        files.set('manifest.json', Buffer.from(JSON.stringify(edit(images) ?? images)))
      }
      const damaged = Buffer.from(tar)
      damaged.write('SHELL', 512 * 2)
      const cases: [Buffer, RegExp][] = [
        [archive.subarray(0, archive.length / 2), /cut short/],
        [await change((files) => files.set(layer, damaged)), /damaged: its digest is/],
        [await change((files) => files.delete(layer)), /the archive has no "blobs/],
        [await change((files) => files.set(`blobs/sha256/${id.slice(7)}`, Buffer.from('{}'))), /damaged/],
        [
          await change((files) => files.set('manifest.json', Buffer.from('{'))),
          /manifest.json in the archive is not JSON/,
        ],
        [await change(manifest(() => ({}))), /manifest.json in the archive is not valid/],
        [
          await change(manifest((images) => void (images[0] = { ...images[0], Layers: [] }))),
          /layers length mismatch: expected 1, got 0/,
        ],
        [await change(manifest((images) => void (images[1] = { ...images[1], RepoTags: ['Bad'] }))), /lowercase/],
        [
          await change(manifest((images) => void (images[0] = { ...images[0], Layers: ['../../../etc/passwd'] }))),
          /the archive has no/,
        ],
        [
          // The first image is good; the layer of the second is another one than its configuration says.
          await change(manifest((images) => void (images[1] = { ...images[1], Layers: images[0]?.['Layers'] }))),
          /invalid diffID for layer/,
        ],
        [await makeTar([{ name: 'x', content: 'y' }]), /no image archive/],
        [await makeTar([{ name: 'manifest.json', type: 'symlink', linkname: 'manifest.json' }]), /round in circles/],
      ]
      for (const [bad, message] of cases) {
        await fails(load(bad), 'invalid', message)
        assert.deepEqual(leftovers(storage), [], String(message))
        assert.deepEqual(await list(), [])
      }
      assert.match(await load(archive), /good:2/)
    })
  })
}
