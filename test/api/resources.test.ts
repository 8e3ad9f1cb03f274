import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { forbidden, invalid, notFound } from '../../shared/errors/index.ts'
import { CHANNEL } from '../../shared/streams/index.ts'
import { startTestGateway, type TestGateway } from './gateway.ts'
import { tester } from './table.ts'

let gateway: TestGateway
const tar = (what: string) =>
  gateway.offer(async (connection) => connection.send(CHANNEL.stdout, Buffer.from(`tar of ${what}`)))

/** Takes an archive in, says how long it was; `bad` in it is an error: at once, or after the first progress message. */
const takesArchive = (what: object, lateError = false) =>
  gateway.offer(async (connection) => {
    let text = ''
    if (lateError) await connection.send(CHANNEL.stdout, Buffer.from('{"status":"working"}\n'))
    for await (const frame of connection.frames) {
      if (frame.eof) break
      text += Buffer.from(frame.data).toString('latin1')
      if (text.includes('bad')) throw invalid('this archive is bad')
    }
    await connection.send(CHANNEL.stdout, Buffer.from(`${JSON.stringify({ status: text.length, ...what })}\n`))
  })

before(async () => {
  gateway = await startTestGateway({
    engine: {
      'network.connect': async (request) => {
        if (request.container === 'nope') throw notFound('No such container: nope')
        return {}
      },
      'network.disconnect': async () => ({}),
    },
    storage: {
      'image.list': async (request) => [{ Id: 'i', Size: 5, RepoTags: [], RepoDigests: [], asked: request }],
      'image.inspect': async ({ ref }) => {
        if (ref.includes('nope')) throw notFound(`No such image: ${ref}`)
        return { Id: ref, Size: 5 }
      },
      'image.history': async ({ ref }) => [{ Id: ref }],
      'image.tag': async (request) => {
        if (request.tag === '') throw invalid('no tag')
        assert.equal(request.ref, '127.0.0.1:5000/a/b:1')
        return {}
      },
      'image.remove': async (request) => [{ Untagged: request.ref, ...request }],
      'image.prune': async ({ filters }) => ({ ImagesDeleted: [filters], SpaceReclaimed: 1 }),
      'image.save': async ({ refs }) => {
        if (refs.includes('nope')) throw notFound('No such image: nope')
        return { stream: tar(refs.join('+')) }
      },
      'image.import': async (request) => ({ stream: takesArchive(request) }),
      'image.load': async ({ quiet }) => ({ stream: takesArchive({ quiet }, quiet) }),
      'volume.list': async ({ filters }) => [{ Name: 'v', filters }],
      'volume.inspect': async ({ ref }) => {
        throw notFound(`get ${ref}: no such volume`)
      },
      'volume.create': async (request) => ({ Name: request.name, asked: request }),
      'volume.remove': async () => ({}),
      'volume.prune': async ({ filters }) => ({ VolumesDeleted: [JSON.stringify(filters)], SpaceReclaimed: 0 }),
    },
    network: {
      'network.list': async ({ filters }) => [{ Name: 'bridge', filters }],
      'network.inspect': async ({ ref }) => {
        if (ref === 'nope') throw notFound('network nope not found')
        return { Name: ref }
      },
      'network.create': async ({ id, spec }) => ({ id, warning: JSON.stringify(spec) }),
      'network.remove': async ({ ref }) => {
        throw forbidden(`network ${ref} has active endpoints`)
      },
      'network.prune': async () => ({ NetworksDeleted: ['n'] }),
    },
  })
})
after(() => gateway.stop())
const t = tester(() => gateway)
const filters = (value: unknown) => encodeURIComponent(JSON.stringify(value))

// images
t('GET', '/images/json?all=1', 200, [{ Id: 'i', RepoTags: [], asked: { all: true } }])
t('GET', '/v1.42/images/json', 200, [{ VirtualSize: 5, RepoTags: ['<none>:<none>'] }])
t('GET', '/v1.40/images/json?filter=busybox', 200, [{ asked: { filters: { reference: ['busybox'] } } }])
t('GET', `/images/json?filters=${filters({ status: ['x'] })}`, 400, { message: /invalid filter 'status'/ })
t('GET', '/images/accept/busybox:latest/json', 200, { Id: 'accept/busybox:latest' })
t('GET', '/images/accept%2Fbusybox:latest/json', 200, { Id: 'accept/busybox:latest' })
t('GET', '/images/127.0.0.1:5000/a/b:1/json', 200, { Id: '127.0.0.1:5000/a/b:1' })
t('GET', '/images/json/json', 200, { Id: 'json' })
t('GET', '/v1.43/images/busybox/json', 200, {
  ...{ VirtualSize: 5, Container: '' },
  ...{ ContainerConfig: { Volumes: null }, Config: { Volumes: null } },
})
t('GET', '/images/nope/json', 404, { message: 'No such image: nope' })
t('GET', '/images/busybox/nope', 404, { message: 'page not found' })
t('GET', `/images/${'x'.repeat(300)}/json`, 200, { Id: 'x'.repeat(300) })
t('GET', '/images/a/b@sha256:12/history', 200, [{ Id: 'a/b@sha256:12' }])
t('POST', '/images/127.0.0.1:5000/a/b:1/tag?repo=x&tag=1', 201)
t('POST', '/images/127.0.0.1:5000/a/b:1/tag?repo=localhost:5000/x:2', 201)
t('POST', '/images/127.0.0.1:5000/a/b:1/tag?repo=localhost:5000/x', 400, { message: 'no tag' })
t('POST', '/images/a/b/push', 501, { message: /push is not implemented/ })
t('DELETE', '/images/127.0.0.1:5000/a/b:1?force=1', 200, [{ ref: '127.0.0.1:5000/a/b:1', force: true, noPrune: false }])
t('POST', '/images/prune', 200, { SpaceReclaimed: 1 })
t('POST', '/images/create?fromImage=nope&tag=latest', 501, {
  message: /^No such image: nope:latest; image pull is not implemented/,
})
t('POST', '/images/create', 400, { message: /fromImage/ })
t('POST', '/images/create?fromSrc=http://x/y', 501, { message: /not implemented/ })
t('GET', '/images/get', 400, { message: /names/ })
t('GET', '/images/nope/get', 404, { message: /No such image/ })

test('save: one image by path, several by name', async () => {
  const one = await gateway.send('GET', '/images/a/b:1/get')
  assert.equal(one.text, 'tar of a/b:1')
  assert.equal(one.headers['content-type'], 'application/x-tar')
  assert.equal((await gateway.send('GET', '/images/get?names=a&names=b')).text, 'tar of a+b')
})

test('import: the body is the archive, changes come through', async () => {
  const path = '/images/create?fromSrc=-&repo=a.b:5000/x:1&message=m&changes=CMD%20x&changes=ENV%20a%3Db'
  const { status, json, headers } = await gateway.send('POST', path, 'x'.repeat(300_000))
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'application/json')
  assert.deepEqual(json, { status: 300_000, repo: 'a.b:5000/x', tag: '1', message: 'm', changes: ['CMD x', 'ENV a=b'] })
})

test('load: an error before any progress is a status, a later one a message in the stream', async () => {
  const early = await gateway.send('POST', '/images/load?quiet=0', 'a bad archive')
  assert.equal(early.status, 400)
  assert.deepEqual(early.json, { message: 'this archive is bad' })
  const late = await gateway.send('POST', '/images/load?quiet=1', 'a bad archive')
  assert.equal(late.status, 200)
  assert.deepEqual(JSON.parse(late.text.split('\n')[1] ?? ''), {
    errorDetail: { message: 'this archive is bad' },
    error: 'this archive is bad',
  })
})

// volumes
t('GET', `/volumes?filters=${filters({ dangling: ['true'] })}`, 200, { Volumes: [{ filters: { dangling: ['true'] } }] })
t('GET', '/volumes/nope', 404, { message: 'get nope: no such volume' })
t(
  'POST',
  '/volumes/create',
  201,
  { Name: 'v', asked: { driver: 'local', labels: { a: 'b' } } },
  { Name: 'v', Labels: { a: 'b' } },
)
t(
  'POST',
  '/volumes/create',
  201,
  { Name: /^[0-9a-f]{64}$/, asked: { labels: { 'com.docker.volume.anonymous': '' } } },
  {},
)
t('POST', '/volumes/create', 400, { message: /DriverOpts must be an object/ }, { Name: 'v', DriverOpts: 'x' })
t('DELETE', '/volumes/v?force=1', 204)
t('POST', '/volumes/prune', 200, { VolumesDeleted: ['{}'] })
t('POST', '/v1.41/volumes/prune', 200, { VolumesDeleted: ['{"all":["true"]}'] })

// networks
t('GET', `/networks?filters=${filters({ driver: { bridge: true } })}`, 200, [{ filters: { driver: ['bridge'] } }])
t('GET', '/networks/bridge', 200, { Name: 'bridge' })
t('GET', '/networks/nope', 404, { message: 'network nope not found' })
t('POST', '/networks/create', 201, { Id: /^[0-9a-f]{64}$/, Warning: /"Internal":true/ }, { Name: 'n', Internal: true })
t(
  'POST',
  '/networks/create',
  400,
  { message: /IPAM\.Config\[0\]\.Subnet must be a string/ },
  { Name: 'n', IPAM: { Config: [{ Subnet: 1 }] } },
)
t('POST', '/networks/n/connect', 200, undefined, { Container: 'c' })
t('POST', '/networks/n/connect', 404, { message: /No such container/ }, { Container: 'nope' })
t('POST', '/networks/n/connect', 400, { message: /Container must name/ }, {})
t('POST', '/networks/n/disconnect', 200, undefined, { Container: 'c', Force: true })
t('DELETE', '/networks/n', 403, { message: /active endpoints/ })
t('POST', '/networks/prune', 200, { NetworksDeleted: ['n'] })

test('a JSON body over its limit is refused whole', async () => {
  const { status, json } = await gateway.send('POST', '/volumes/create', { Name: 'x'.repeat(9 * 1024 * 1024) })
  assert.equal(status, 413)
  assert.match((json as { message: string }).message, /larger than 8 MB/)
})

test('so is one that does not tell its length', async () => {
  const options = { headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' } }
  const { status } = await gateway.send('POST', '/volumes/create', 'x'.repeat(9 * 1024 * 1024), options)
  assert.equal(status, 413)
})
