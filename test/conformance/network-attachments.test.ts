import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { promisify } from 'node:util'
import type { PortRequest, SandboxInfo } from '../../shared/contracts/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { Nft } from '../../shared/kernel/nft.ts'
import { RtNetlink } from '../../shared/kernel/rtnetlink.ts'
import { bindSocket, closeSocket } from '../../shared/kernel/sockets.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { until } from '../support/until.ts'

/** Endpoints that come and go, and the published ports that follow them, in a network namespace that plays the host. */
const CLONE_NEWNET = 0x40000000
const engine = 'gatt'
const dir = mkdtempSync(join(tmpdir(), 'gantry-network-attachments-'))
let net: NetworkService

const run = (file: string, ...args: string[]): string =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 10_000 })
const routes = (info: SandboxInfo): string => run('nsenter', `--net=${info.netns}`, 'ip', 'route')
const network = (name: string, spec: object = {}): Promise<unknown> =>
  net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })
const inspect = (id: string): Promise<SandboxInfo> => net.call('sandbox.inspect', { id })
const connect = (id: string, name: string): Promise<SandboxInfo> =>
  net.call('endpoint.connect', { id, endpoint: on(name) })
const disconnect = (id: string, name: string): Promise<SandboxInfo> =>
  net.call('endpoint.disconnect', { id, network: name, force: false })
const port = (hostPort: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  containerPort: 80,
  hostIp: '',
  hostPort,
  ...more,
})
const shown = ({ ports }: SandboxInfo): string[] => ports.map((p) => `${p.hostIp}:${p.hostPort}/${p.protocol}`)
/** What the firewall leads to containers: the keys of its maps. */
const led = (): string[] =>
  ['publish4', 'publish4_any', 'publish6', 'publish6_any'].flatMap((map) => {
    const listing = run('nft', 'list', 'map', 'inet', `gantry-${engine}`, map)
    const [, elements = ''] = /elements = \{([^}]*)\}/.exec(listing) ?? []
    return elements
      .split(',')
      .map((text) => text.split(' : ')[0]?.trim() ?? '')
      .filter((text) => text !== '')
      .map((text) => `${map} ${text}`)
  })
const restart = async (): Promise<void> => {
  await net.stop()
  net = await startNetworkService(dir, engine)
}
/** What was told of a container's networks since `from` events. */
const told = (id: string, from: number): string[] =>
  net
    .events()
    .slice(from)
    .map(({ payload }) => payload)
    .filter(({ Actor }) => Actor.Attributes['container'] === id)
    .map(({ Action, Actor }) => `${Action} ${Actor.Attributes['name']}`)
const served: ChildProcess[] = []
/** A web server in a container, on IPv4 and IPv6. */
function serve(info: SandboxInfo, page: string): void {
  writeFileSync(join(dir, 'page'), page)
  served.push(spawn('nsenter', [`--net=${info.netns}`, 'busybox', 'httpd', '-f', '-p', '80', '-h', dir]))
}
/** Not synchronous: the relays are in this process. */
const get = (address: string): Promise<string> =>
  promisify(execFile)('curl', ['-sg', '--noproxy', '*', '-m1', `http://${address}/page`]).then(
    ({ stdout }) => stdout,
    () => '',
  )

before(async () => {
  syscallFn('int unshare(int flags)')(CLONE_NEWNET)
  run('ip', 'link', 'set', 'lo', 'up')
  net = await startNetworkService(dir, engine)
})

after(async () => {
  for (const child of served) child.kill('SIGKILL')
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  rmSync(dir, { recursive: true, force: true })
})

void describe('a connect that fails at its end', () => {
  const faults = {
    'the routes': () => {
      const replace = mock.method(RtNetlink.prototype, 'replaceRoute')
      replace.mock.mockImplementationOnce(function (this: RtNetlink, route) {
        replace.mock.restore()
        this.replaceRoute(route)
        throw new Error('broken')
      })
    },
    'the firewall': () => {
      mock.method(Nft.prototype, 'run').mock.mockImplementationOnce(() => {
        throw new Error('broken')
      })
    },
  }
  for (const [what, breakIt] of Object.entries(faults)) {
    void it(`at ${what} leaves the other networks, ports and routes as they were, and tells nothing`, async () => {
      await network('a-first', { EnableIPv6: true })
      const request = sandbox('half', { ports: [port(0)] })
      const info = await net.call('sandbox.create', request)
      const was = [routes(info), led()]
      const events = net.events().length
      breakIt()
      await assert.rejects(connect(request.id, 'a-first'), /broken/).finally(() => mock.restoreAll())
      assert.deepEqual(await inspect(request.id), info)
      assert.deepEqual([routes(info), led()], was)
      assert.deepEqual(told(request.id, events), [])
      assert.equal((await connect(request.id, 'a-first')).endpoints.length, 2, 'it can be tried again')
      await disconnect(request.id, 'a-first')
      assert.deepEqual(told(request.id, events), ['connect a-first', 'disconnect a-first'])
      await net.call('network.remove', { ref: 'a-first' })
      await net.call('sandbox.delete', { id: request.id })
    })
  }

  void it('because the service dies leaves no endpoint, and tells nothing', async () => {
    await network('a-first')
    const request = sandbox('half')
    const info = await net.call('sandbox.create', request)
    const events = net.events().length
    await connect(request.id, 'a-first')
    net.store.run("UPDATE endpoints SET phase = 'creating' WHERE position = 1")
    await restart()
    assert.deepEqual(await inspect(request.id), info)
    assert.deepEqual(told(request.id, events), ['connect a-first'], 'before it died, in this test')
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'a-first' })
  })

  void it('at a port that is taken reserves nothing', async () => {
    await network('inner', { Internal: true })
    const [one, two] = [
      sandbox('one', { ports: [port(18300)] }),
      sandbox('two', { endpoints: [on('inner')], ports: [port(18301, { containerPort: 81 }), port(18300)] }),
    ]
    await net.call('sandbox.create', one)
    const info = await net.call('sandbox.create', two)
    assert.deepEqual(info.ports, [])
    const events = net.events().length
    await assert.rejects(connect(two.id, 'bridge'), /endpoint two .*port is already allocated.*container one/)
    assert.deepEqual(await inspect(two.id), info)
    assert.deepEqual(told(two.id, events), [])
    closeSocket(bindSocket('tcp', '0.0.0.0', 18301))
    for (const { id } of [one, two]) await net.call('sandbox.delete', { id })
    await net.call('network.remove', { ref: 'inner' })
  })
})

void describe('the owner of a shared sandbox comes back', () => {
  void it('with a network that it cannot have: it is not there before all of it is', async () => {
    await network('static', { IPAM: { Config: [{ Subnet: '10.79.0.0/24' }] } })
    const holder = sandbox('holder', { endpoints: [on('static', { ipv4: '10.79.0.50' })] })
    const owner = sandbox('owner')
    await net.call('sandbox.create', holder)
    await net.call('sandbox.create', owner)
    const joiner = sandbox('joiner', { mode: { kind: 'container', target: owner.id } })
    await net.call('sandbox.create', joiner)
    await net.call('sandbox.delete', { id: owner.id })
    const wish = { ...owner, endpoints: [on('bridge'), on('static', { ipv4: '10.79.0.50' })] }
    for (const _ of [1, 2]) {
      await assert.rejects(net.call('sandbox.create', wish), /Address already in use/)
      await assert.rejects(inspect(owner.id), /no network sandbox/)
    }
    await restart()
    await assert.rejects(net.call('sandbox.create', wish), /Address already in use/)
    await net.call('sandbox.delete', { id: holder.id })
    const info = await net.call('sandbox.create', wish)
    assert.deepEqual(
      info.endpoints.map((e) => e.networkName),
      ['bridge', 'static'],
    )
    assert.deepEqual(await net.call('sandbox.create', wish), info, 'asked again')
    for (const { id } of [owner, joiner]) await net.call('sandbox.delete', { id })
    await net.call('network.remove', { ref: 'static' })
  })
})

void describe('published ports follow the networks', () => {
  void it('another family comes and goes; a random port stays what it is', async () => {
    await network('six', { EnableIPv6: true })
    const udp = port(18311, { protocol: 'udp' })
    const request = sandbox('ports', { ports: [udp, port(0, { protocol: 'udp', containerPort: 81 })] })
    const info = await net.call('sandbox.create', request)
    const random = info.ports[1]?.hostPort
    assert.deepEqual(shown(info), ['0.0.0.0:18311/udp', `0.0.0.0:${random}/udp`])
    const both = await connect(request.id, 'six')
    const all = ['0.0.0.0:18311/udp', ':::18311/udp', `0.0.0.0:${random}/udp`, `:::${random}/udp`]
    assert.deepEqual(shown(both), all)
    assert.equal(led().length, 4)
    assert.deepEqual(shown(await disconnect(request.id, 'bridge')), all, 'both lead to the other network now')
    await disconnect(request.id, 'six')
    assert.deepEqual(shown(await inspect(request.id)), [], 'nothing leads anywhere')
    assert.deepEqual(led(), [])
    closeSocket(bindSocket('udp', '0.0.0.0', 18311))
    assert.deepEqual(shown(await connect(request.id, 'bridge'))[0], '0.0.0.0:18311/udp')
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'six' })
  })

  void it('the host address of a network counts while it is the way in', async () => {
    await network('a-local', { Options: { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' } })
    const request = sandbox('bound', { ports: [port(18320)] })
    await net.call('sandbox.create', request)
    assert.deepEqual(shown(await connect(request.id, 'a-local')), ['127.0.0.1:18320/tcp'])
    assert.deepEqual(led(), ['publish4 127.0.0.1 . tcp . 18320'])
    assert.equal(shown(await disconnect(request.id, 'a-local'))[0], '0.0.0.0:18320/tcp')
    assert.deepEqual(led(), ['publish4_any tcp . 18320'])
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'a-local' })
  })

  void it('a port that was left behind by a service that died is given back at the next start', async () => {
    await network('inner', { Internal: true })
    const request = sandbox('dead', { endpoints: [on('inner')], ports: [port(18330)] })
    await net.call('sandbox.create', request)
    net.store.run("INSERT INTO ports VALUES ('tcp', 18330, '0.0.0.0', ?, 'dead', 0, 80)", request.id)
    await restart()
    assert.deepEqual((await inspect(request.id)).ports, [])
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'inner' })
  })

  void it('no process gets a published port, nor after a restart', async () => {
    const request = sandbox('kept', { ports: [port(18340), port(18340, { protocol: 'udp' })] })
    await net.call('sandbox.create', request)
    for (const _ of [1, 2]) {
      for (const protocol of ['tcp', 'udp'] as const)
        assert.throws(() => bindSocket(protocol, '127.0.0.1', 18340), /EADDRINUSE/)
      await restart()
    }
    await net.call('sandbox.delete', { id: request.id })
    for (const protocol of ['tcp', 'udp'] as const) closeSocket(bindSocket(protocol, '127.0.0.1', 18340))
  })
})

void describe('IPv6 to a container with IPv4 alone', () => {
  void it('is relayed, also after a restart, and by the kernel once the container has IPv6', async () => {
    await network('six', { EnableIPv6: true })
    run('ip', 'addr', 'add', 'fd99::1/64', 'dev', 'lo', 'nodad')
    const request = sandbox('four', { ports: [port(18350), port(18351, { hostIp: '::1' })] })
    const info = await net.call('sandbox.create', request)
    assert.deepEqual(shown(info), ['0.0.0.0:18350/tcp', ':::18350/tcp', '::1:18351/tcp'])
    assert.deepEqual(led(), ['publish4_any tcp . 18350'])
    serve(info, 'hello\n')
    const all = ['127.0.0.1:18350', '[::1]:18350', '[fd99::1]:18350', '[::1]:18351']
    const answers = async (): Promise<boolean> => (await Promise.all(all.map(get))).every((page) => page === 'hello\n')
    await until('all answer', 5000, answers)
    await restart()
    await until('all answer again', 5000, answers)
    await connect(request.id, 'six')
    assert.deepEqual(led(), ['publish4_any tcp . 18350', 'publish6_any tcp . 18350'])
    await until('the kernel leads there', 5000, async () => (await get('[fd99::1]:18350')) === 'hello\n')
    for (const loopback of ['[::1]:18350', '[::1]:18351'])
      assert.equal(await get(loopback), 'hello\n', 'loopback is relayed still')
    await disconnect(request.id, 'six')
    await until('all answer', 5000, answers)
    served.pop()?.kill('SIGKILL')
    await net.call('sandbox.delete', { id: request.id })
    assert.equal(await get('[::1]:18350'), '')
    await net.call('network.remove', { ref: 'six' })
  })

  void it('is refused for UDP, with the reason', async () => {
    const request = sandbox('udp', { ports: [port(18360, { hostIp: '::', protocol: 'udp' })] })
    await assert.rejects(net.call('sandbox.create', request), /publish 80\/udp on ::: .*no IPv6 address.*only TCP/)
  })
})
