import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { SandboxInfo } from '../../shared/contracts/index.ts'
import { type ErrorKind, isKind } from '../../shared/errors/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { deleteNetns, isNetns, withNetns } from '../../shared/kernel/netns.ts'
import { readSysctl } from '../../shared/kernel/sysctl.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { until } from '../support/until.ts'

/**
 * The network service with its real drivers, firewall and DNS on the real kernel, in a network namespace of this process's own
 * that plays the host.
 */
const CLONE_NEWNET = 0x40000000
const engine = 'gtest'
const dir = mkdtempSync(join(tmpdir(), 'gantry-network-service-'))
let net: NetworkService

const run = (netns: string | null, ...command: string[]): string => {
  const enter = netns === null ? [] : ['nsenter', `--net=${netns}`]
  const [file = '', ...args] = [...enter, ...command]
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 10_000 })
}
const ping = (from: SandboxInfo | null, address: string): boolean => {
  try {
    run(from?.netns ?? null, 'busybox', 'ping', '-c1', '-W1', address)
    return true
  } catch {
    return false
  }
}
/** A new port carries frames a moment later; what is sent before is lost. */
const reaches = (from: SandboxInfo | null, address: string): boolean => [1, 2, 3].some(() => ping(from, address))
/** Both carry frames, as their gateways tell, and still nothing gets from one to the other. */
const keptApart = async (from: SandboxInfo, to: SandboxInfo): Promise<void> => {
  for (const info of [from, to]) {
    await until('it reaches its gateway', 5000, () => ping(info, info.endpoints[0]?.gateway4 ?? ''))
  }
  for (let n = 0; n < 3; n++) assert.ok(!ping(from, to.endpoints[0]?.ipv4 ?? ''), `try ${n}`)
}
const hosts = (info: SandboxInfo): string => readFileSync(info.hostsPath, 'utf8')
const fails = (kind: ErrorKind, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error)
  assert.match(error.message, text)
  assert.ok(isKind(error, kind), `is ${String((error as { kind?: unknown }).kind)}: ${error.message}`)
  return true
}
const links = (): string[] =>
  run(null, 'ip', '-o', 'link')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(': ')[1]?.split('@')[0] ?? '')
const network = (name: string, spec: object = {}): Promise<{ id: string }> =>
  net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })

before(async () => {
  syscallFn('int unshare(int flags)')(CLONE_NEWNET)
  run(null, 'ip', 'link', 'set', 'lo', 'up')
  net = await startNetworkService(dir, engine)
})

after(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  rmSync(dir, { recursive: true, force: true })
})

void describe('predefined networks', () => {
  void it('are there, with ids that survive a restart', async () => {
    const list = async () =>
      (await net.call('network.list', { filters: {} })).map((n) => [n['Name'], n['Driver'], n['Id']])
    const first = await list()
    assert.deepEqual(
      first.map(([name, driver]) => [name, driver]),
      [
        ['none', 'null'],
        ['host', 'host'],
        ['bridge', 'bridge'],
      ],
    )
    await net.stop()
    net = await startNetworkService(dir, engine)
    assert.deepEqual(await list(), first)
    assert.ok(links().includes(`${engine}0`))
  })

  void it('cannot be made or removed', async () => {
    for (const name of ['bridge', 'host', 'none']) {
      await assert.rejects(net.call('network.remove', { ref: name }), fails('forbidden', /pre-defined network/))
      await assert.rejects(network(name), fails('forbidden', /predefined/))
    }
    await assert.rejects(network('x', { Driver: 'host' }), fails('forbidden', /only one instance of "host" network/))
  })
})

void describe('a sandbox on the default bridge', () => {
  void it('has an address, a route, names and a MAC made from the address', async () => {
    const request = sandbox('web', {
      hostname: 'me',
      domainname: 'example.org',
      extraHosts: ['db:10.1.2.3', 'gw:host-gateway'],
    })
    const info = await net.call('sandbox.create', request)
    const [endpoint] = info.endpoints
    assert.ok(endpoint)
    assert.equal(endpoint.networkName, 'bridge')
    const bytes = endpoint.ipv4.split('.').map((b) => Number(b).toString(16).padStart(2, '0'))
    assert.equal(endpoint.mac, `02:42:${bytes.join(':')}`)
    assert.match(run(info.netns, 'ip', 'route'), new RegExp(`^default via ${endpoint.gateway4} dev eth0`))
    assert.match(hosts(info), new RegExp(`^${endpoint.ipv4}\tme.example.org me$`, 'm'))
    assert.match(hosts(info), /^10\.1\.2\.3\tdb$/m)
    assert.match(hosts(info), new RegExp(`^${endpoint.gateway4}\tgw$`, 'm'))
    assert.equal(readFileSync(info.hostnamePath, 'utf8'), 'me\n')
    assert.doesNotMatch(readFileSync(info.resolvConfPath, 'utf8'), /127\.0\.0\.11/)
    assert.deepEqual(
      info.mounts.map((m) => m.destination),
      ['/etc/hosts', '/etc/resolv.conf', '/etc/hostname'],
    )
    assert.deepEqual(await net.call('sandbox.create', request), info, 'asked again')
    assert.deepEqual(await net.call('sandbox.inspect', { id: request.id }), info)
    await net.call('sandbox.delete', { id: request.id })
  })

  void it('reaches others and the host, and is listed on its network', async () => {
    const [a, b] = [sandbox('a'), sandbox('b')]
    const [ia, ib] = [await net.call('sandbox.create', a), await net.call('sandbox.create', b)]
    assert.ok(reaches(ia, ib.endpoints[0]?.ipv4 ?? ''))
    assert.ok(reaches(null, ia.endpoints[0]?.ipv4 ?? ''))
    const view = await net.call('network.inspect', { ref: 'bridge' })
    const containers = view['Containers'] as Record<string, { Name: string; IPv4Address: string }>
    assert.equal(containers[a.id]?.Name, 'a')
    assert.equal(containers[a.id]?.IPv4Address, `${ia.endpoints[0]?.ipv4}/16`)
    const stats = await net.call('sandbox.stats', { ids: [a.id, newId()] })
    assert.deepEqual(Object.keys(stats), [a.id])
    assert.ok((stats[a.id]?.['eth0']?.rx_packets ?? 0) > 0)
    const told = await until('a sample on the bus', 5_000, () => net.samples.findLast((sample) => sample.id === a.id))
    assert.deepEqual(Object.keys(told.networks ?? {}), ['eth0'])
    assert.ok((told.networks?.['eth0']?.tx_packets ?? 0) > 0)
    for (const { id } of [a, b]) await net.call('sandbox.delete', { id })
  })

  void it('leaves nothing when it is deleted, and deleting again is no error', async () => {
    const before = links()
    const request = sandbox('gone', { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }] })
    const info = await net.call('sandbox.create', request)
    await net.call('sandbox.delete', { id: request.id })
    await net.call('sandbox.delete', { id: request.id })
    assert.equal(isNetns(info.netns ?? ''), false)
    await until('the veth is gone', 2000, () => links().length <= before.length)
    await assert.rejects(net.call('sandbox.inspect', { id: request.id }), fails('not-found', /no network sandbox/))
  })

  void it('lets unprivileged processes bind low ports and ping, unless told otherwise; sysctls are set', async () => {
    const request = sandbox('sysctls', {
      sysctls: { 'net.core.somaxconn': '77', 'net.ipv4.conf.eth0.forwarding': '1', 'net.ipv4.ping_group_range': '5 6' },
    })
    const info = await net.call('sandbox.create', request)
    const read = (name: string): string => withNetns(info.netns ?? '', () => readSysctl(name))
    assert.equal(read('net.ipv4.ip_unprivileged_port_start'), '0')
    assert.equal(read('net.core.somaxconn'), '77')
    assert.equal(read('net.ipv4.conf.eth0.forwarding'), '1')
    assert.equal(read('net.ipv4.ping_group_range').replace(/\s+/, ' '), '5 6')
    await net.call('sandbox.delete', { id: request.id })
    const bad = sandbox('bad', { sysctls: { 'net.ipv4.nonsense': '1' } })
    const before = links()
    await assert.rejects(net.call('sandbox.create', bad), fails('invalid', /net\.ipv4\.nonsense/))
    await until('nothing is left', 2000, () => links().length <= before.length)
  })

  void it('--link puts the other into the hosts file, also after that one came back with another address', async () => {
    const target = sandbox('target')
    const first = await net.call('sandbox.create', target)
    const linker = sandbox('linker', {
      endpoints: [on('bridge', { links: [{ id: target.id, name: 'target', alias: 'db' }] })],
    })
    const info = await net.call('sandbox.create', linker)
    const line = (address: string | undefined): RegExp =>
      new RegExp(`^${address}\tdb ${target.id.slice(0, 12)} target$`, 'm')
    assert.match(hosts(info), line(first.endpoints[0]?.ipv4))
    const inode = statSync(info.hostsPath).ino
    writeFileSync(info.hostsPath, `${hosts(info)}1.2.3.4\tmine\n`)
    await net.call('sandbox.delete', { id: target.id })
    assert.doesNotMatch(hosts(info), /\tdb /)
    const other = sandbox('other')
    await net.call('sandbox.create', { ...other, endpoints: [on('bridge')] })
    const again = await net.call('sandbox.create', target)
    assert.match(hosts(info), line(again.endpoints[0]?.ipv4))
    assert.match(hosts(info), /^1\.2\.3\.4\tmine$/m, 'what the container wrote stays')
    assert.equal(statSync(info.hostsPath).ino, inode)
    for (const { id } of [target, linker, other]) await net.call('sandbox.delete', { id })
  })

  void it('a link can be taken away while the container runs', async () => {
    const target = sandbox('target')
    const { endpoints } = await net.call('sandbox.create', target)
    const linker = sandbox('linker', {
      endpoints: [on('bridge', { links: [{ id: target.id, name: 'target', alias: 'db' }] })],
    })
    const info = await net.call('sandbox.create', linker)
    assert.match(hosts(info), /\tdb /)
    assert.deepEqual(await net.call('endpoint.connect', { id: linker.id, endpoint: on('bridge') }), info)
    assert.doesNotMatch(hosts(info), /\tdb /)
    await net.call('sandbox.delete', { id: target.id })
    await net.call('sandbox.create', target)
    assert.doesNotMatch(hosts(info), new RegExp(`^${endpoints[0]?.ipv4}\t`, 'm'))
    for (const { id } of [target, linker]) await net.call('sandbox.delete', { id })
  })

  void it('what a container writes into its files stays when networks come and go', async () => {
    await network('later')
    const request = sandbox('editor', { hostname: 'me', extraHosts: ['me:9.9.9.9', 'gw:host-gateway'] })
    const info = await net.call('sandbox.create', request)
    const resolvConf = (): string => readFileSync(info.resolvConfPath, 'utf8')
    const plain = resolvConf()
    const connect = () => net.call('endpoint.connect', { id: request.id, endpoint: on('later') })
    const disconnect = () => net.call('endpoint.disconnect', { id: request.id, network: 'later', force: false })

    await connect()
    assert.match(resolvConf(), /127\.0\.0\.11/, 'its own is exchanged')
    assert.match(hosts(info), /^9\.9\.9\.9\tme$/m)
    assert.match(hosts(info), /^172\.17\.0\.1\tgw$/m)
    assert.equal(hosts(info).match(/\tme$/gm)?.length, 3)
    await disconnect()
    assert.equal(resolvConf(), plain)
    assert.equal(hosts(info).match(/\tme$/gm)?.length, 2)

    writeFileSync(info.resolvConfPath, 'nameserver 5.5.5.5\n')
    writeFileSync(info.hostsPath, `${hosts(info)}8.8.8.8\tme\n`)
    await connect()
    await net.stop()
    net = await startNetworkService(dir, engine)
    await disconnect()
    assert.equal(resolvConf(), 'nameserver 5.5.5.5\n')
    assert.match(hosts(info), /^8\.8\.8\.8\tme$/m)
    assert.equal(hosts(info).match(/\tme$/gm)?.length, 3)
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'later' })
  })

  void it('files that were being written when the service died are written again', async () => {
    const request = sandbox('torn')
    const info = await net.call('sandbox.create', request)
    const [plain, whole] = [readFileSync(info.resolvConfPath, 'utf8'), hosts(info)]
    const note = join(dirname(info.hostsPath), 'written.json')
    const written = JSON.parse(readFileSync(note, 'utf8')) as { hosts: string[] }
    writeFileSync(note, JSON.stringify({ resolvConf: '', hosts: [...written.hosts, '10.1.1.1\ttorn'], done: false }))
    writeFileSync(info.resolvConfPath, 'nameser')
    writeFileSync(info.hostsPath, `${whole}10.1.1.1\ttorn\n`)
    await net.stop()
    net = await startNetworkService(dir, engine)
    assert.deepEqual([readFileSync(info.resolvConfPath, 'utf8'), hosts(info)], [plain, whole])
    await net.call('sandbox.delete', { id: request.id })
  })

  void it('refuses what cannot be', async () => {
    const refuse = async (request: Parameters<typeof sandbox>[1], kind: ErrorKind, text: RegExp) => {
      const before = links()
      await assert.rejects(net.call('sandbox.create', sandbox('refused', request)), fails(kind, text))
      await until('nothing is left', 2000, () => links().length <= before.length)
    }
    await refuse({ endpoints: [on('nope')] }, 'not-found', /network nope not found/)
    await refuse({ endpoints: [on('bridge', { ipv4: '172.17.0.9' })] }, 'invalid', /user defined networks only/)
    await refuse({ endpoints: [on('bridge', { mac: '02:42:zz' })] }, 'invalid', /MAC/)
    await refuse({ mode: { kind: 'container', target: newId() } }, 'conflict', /cannot join network/)
  })
})

void describe('published ports', () => {
  void it('are reached from the host and named when they are taken', async () => {
    const ports = [{ protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPort: 18080 }] as const
    const request = sandbox('server', { ports: [...ports] })
    const info = await net.call('sandbox.create', request)
    assert.deepEqual(info.ports, [{ protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPort: 18080 }])
    const server = spawn('nsenter', [`--net=${info.netns}`, 'busybox', 'httpd', '-f', '-p', '80', '-h', dir])
    writeFileSync(join(dir, 'page'), 'hello\n')
    try {
      await until('the page', 5000, () => run(null, 'curl', '-s', '-m1', 'http://127.0.0.1:18080/page') === 'hello\n')
      const second = sandbox('second', { ports: [...ports] })
      await assert.rejects(
        net.call('sandbox.create', second),
        fails('conflict', /driver failed programming external connectivity.*port is already allocated.*server/),
      )
    } finally {
      server.kill('SIGKILL')
      await once(server, 'exit')
      await net.call('sandbox.delete', { id: request.id })
    }
    const again = sandbox('again', { ports: [...ports] })
    await net.call('sandbox.create', again)
    await net.call('sandbox.delete', { id: again.id })
  })
})

void describe('modes', () => {
  void it("host: no namespace, the host's names", async () => {
    const request = sandbox('hosty', { mode: { kind: 'host' }, hostname: 'machine' })
    const info = await net.call('sandbox.create', request)
    assert.equal(info.netns, null)
    assert.equal(info.endpoints[0]?.networkName, 'host')
    assert.equal(readFileSync(info.resolvConfPath, 'utf8'), readFileSync('/etc/resolv.conf', 'utf8'))
    await net.call('sandbox.delete', { id: request.id })
  })

  void it('none: loopback alone', async () => {
    const request = sandbox('lonely', { mode: { kind: 'none' } })
    const info = await net.call('sandbox.create', request)
    assert.equal(run(info.netns, 'ip', '-o', 'link').trim().split('\n').length, 1)
    assert.match(run(info.netns, 'ip', 'addr', 'show', 'lo'), /inet 127\.0\.0\.1/)
    await assert.rejects(
      net.call('endpoint.connect', { id: request.id, endpoint: on('bridge') }),
      fails('forbidden', /none/),
    )
    await net.call('sandbox.delete', { id: request.id })
  })

  void it("container: shares a sandbox, which outlives its owner and is the owner's again", async () => {
    const before = links()
    const owner = sandbox('owner')
    const info = await net.call('sandbox.create', owner)
    const joiner = sandbox('joiner', { mode: { kind: 'container', target: owner.id } })
    const joined = await net.call('sandbox.create', joiner)
    assert.equal(joined.netns, info.netns)
    assert.deepEqual(joined.endpoints, [])
    const taken = await net.call('endpoint.disconnect', { id: joiner.id, network: 'bridge', force: false })
    assert.deepEqual(taken, joined, 'it has no endpoints of its own to take away')
    await assert.rejects(
      net.call(
        'sandbox.create',
        sandbox('p', { mode: joiner.mode, ports: [{ protocol: 'tcp', containerPort: 1, hostIp: '', hostPort: 0 }] }),
      ),
      fails('invalid', /conflicting options/),
    )
    await net.call('sandbox.delete', { id: owner.id })
    assert.ok(reaches(null, info.endpoints[0]?.ipv4 ?? ''), 'lives on')
    assert.deepEqual(await net.call('sandbox.create', owner), info, 'the owner comes back')
    await net.call('sandbox.delete', { id: owner.id })
    await net.call('sandbox.delete', { id: joiner.id })
    assert.equal(isNetns(info.netns ?? ''), false)
    await until('all is gone', 2000, () => links().length <= before.length)
  })
})

void describe('user-defined networks', () => {
  void it('are made, shown, found by filters and removed', async () => {
    const { id } = await network('blue', {
      Labels: { color: 'blue' },
      IPAM: {
        Config: [
          {
            Subnet: '10.77.1.0/24',
            IPRange: '10.77.1.128/25',
            Gateway: '10.77.1.254',
            AuxiliaryAddresses: { r: '10.77.1.129' },
          },
        ],
      },
      Options: { 'com.docker.network.driver.mtu': '1400', 'com.docker.network.bridge.name': 'blue0' },
    })
    const view = await net.call('network.inspect', { ref: id.slice(0, 10) })
    assert.equal(view['Name'], 'blue')
    assert.deepEqual((view['IPAM'] as { Config: unknown }).Config, [
      {
        Subnet: '10.77.1.0/24',
        IPRange: '10.77.1.128/25',
        Gateway: '10.77.1.254',
        AuxiliaryAddresses: { r: '10.77.1.129' },
      },
    ])
    assert.ok(links().includes('blue0'))
    const names = async (filters: Record<string, string[]>) =>
      (await net.call('network.list', { filters })).map((n) => n['Name'])
    assert.deepEqual(await names({ label: ['color=blue'] }), ['blue'])
    assert.deepEqual(await names({ name: ['blu'], driver: ['bridge'] }), ['blue'])
    assert.deepEqual(await names({ type: ['custom'] }), ['blue'])
    assert.deepEqual(await names({ dangling: ['true'] }), ['blue'])
    assert.deepEqual(await names({ id: [id.slice(0, 5)], scope: ['local'] }), ['blue'])
    await assert.rejects(names({ nonsense: ['1'] }), fails('invalid', /invalid filter 'nonsense'/))
    await assert.rejects(network('blue'), fails('conflict', /network with name blue already exists/))
    await assert.rejects(
      network('over', { IPAM: { Config: [{ Subnet: '10.77.1.0/25' }] } }),
      fails('forbidden', /overlap.*blue/s),
    )
    await assert.rejects(
      network('bad', { IPAM: { Config: [{ Subnet: '10.77.1.7/33' }] } }),
      fails('invalid', /invalid subnet/),
    )
    await assert.rejects(network('opt', { Options: { 'com.docker.network.nope': '1' } }), fails('invalid', /nope/))
    await assert.rejects(network('drv', { Driver: 'nope' }), fails('not-found', /"nope" not found/))
    await assert.rejects(
      net.call('network.create', { id: newId(), spec: { Name: 'typed', Internal: 'yes' } }),
      fails('invalid', /Internal/),
    )
    await net.call('network.remove', { ref: 'blue' })
    await assert.rejects(net.call('network.inspect', { ref: 'blue' }), fails('not-found', /network blue not found/))
    await until('the bridge is gone', 2000, () => !links().includes('blue0'))
  })

  void it('a bridge that the user made is used, and stays as it was', async () => {
    run(null, 'ip', 'link', 'add', 'mine0', 'type', 'bridge')
    run(null, 'ip', 'addr', 'add', '10.66.0.9/24', 'dev', 'mine0')
    run(null, 'ip', 'link', 'set', 'mine0', 'up')
    const before = run(null, 'ip', '-o', 'addr', 'show', 'mine0')
    await assert.rejects(
      network('mine', {
        IPAM: { Config: [{ Subnet: '10.66.0.0/24' }] },
        Options: { 'com.docker.network.bridge.name': 'other0' },
      }),
      fails('forbidden', /overlaps with 10\.66\.0\.0\/24 of a route of this host \(device mine0\)/),
    )
    await network('mine', {
      IPAM: { Config: [{ Subnet: '10.66.0.0/24' }] },
      Options: { 'com.docker.network.bridge.name': 'mine0' },
    })
    const request = sandbox('guest', { endpoints: [on('mine')] })
    const info = await net.call('sandbox.create', request)
    assert.ok(reaches(info, '10.66.0.9'))
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'mine' })
    assert.equal(run(null, 'ip', '-o', 'addr', 'show', 'mine0'), before)
    run(null, 'ip', 'link', 'del', 'mine0')
  })

  void it('cannot be removed while in use; prune takes the others', async () => {
    await network('used', { Labels: { p: '1' } })
    await network('unused', { Labels: { p: '1' } })
    const request = sandbox('user', { endpoints: [on('used')] })
    await net.call('sandbox.create', request)
    await assert.rejects(
      net.call('network.remove', { ref: 'used' }),
      fails('forbidden', /network used has active endpoints \(name:"user" id:/),
    )
    assert.deepEqual(await net.call('network.prune', { filters: { label: ['p=1'] } }), { NetworksDeleted: ['unused'] })
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'used' })
  })

  void it('are kept apart, and joined by connecting', async () => {
    await network('left')
    await network('right')
    const [l, r] = [sandbox('l', { endpoints: [on('left')] }), sandbox('r', { endpoints: [on('right')] })]
    const [il, ir] = [await net.call('sandbox.create', l), await net.call('sandbox.create', r)]
    const address = ir.endpoints[0]?.ipv4 ?? ''
    await keptApart(il, ir)
    const connected = await net.call('endpoint.connect', { id: l.id, endpoint: on('right', { aliases: ['ell'] }) })
    assert.deepEqual(
      connected.endpoints.map((e) => [e.networkName, e.interface]),
      [
        ['left', 'eth0'],
        ['right', 'eth1'],
      ],
    )
    assert.ok(reaches(il, address))
    assert.match(hosts(il), new RegExp(`^${connected.endpoints[1]?.ipv4}\tl$`, 'm'))
    assert.match(run(il.netns, 'ip', 'route'), /^default .* dev eth0/m)
    assert.deepEqual(
      await net.call('endpoint.connect', { id: l.id, endpoint: on('right', { aliases: ['ell'] }) }),
      connected,
    )
    const gone = await net.call('endpoint.disconnect', { id: l.id, network: 'right', force: false })
    assert.equal(gone.endpoints.length, 1)
    await keptApart(il, ir)
    assert.doesNotMatch(hosts(il), new RegExp(`^${connected.endpoints[1]?.ipv4}\t`, 'm'))
    await net.call('endpoint.disconnect', { id: l.id, network: 'right', force: false })
    const events = net
      .events()
      .map(
        (e) =>
          `${e.payload.Action} ${e.payload.Actor.Attributes['name']} ${e.payload.Actor.Attributes['container'] === l.id}`,
      )
    assert.ok(events.includes('connect right true'))
    assert.ok(events.includes('disconnect right true'))
    await net.call('endpoint.disconnect', { id: l.id, network: 'left', force: false })
    assert.doesNotMatch(run(il.netns, 'ip', 'route'), /default/)
    for (const { id } of [l, r]) await net.call('sandbox.delete', { id })
    for (const ref of ['left', 'right']) await net.call('network.remove', { ref })
  })

  void it('the default route follows the gateway priority', async () => {
    await network('one')
    await network('two')
    const request = sandbox('multi', { endpoints: [on('one'), on('two', { gatewayPriority: 5 })] })
    const info = await net.call('sandbox.create', request)
    assert.match(run(info.netns, 'ip', 'route'), /^default .* dev eth1/m)
    await net.call('endpoint.disconnect', { id: request.id, network: 'two', force: false })
    assert.match(run(info.netns, 'ip', 'route'), /^default .* dev eth0/m)
    await net.call('sandbox.delete', { id: request.id })
    for (const ref of ['one', 'two']) await net.call('network.remove', { ref })
  })

  void it('static addresses and MACs are honoured; taken ones refused, and the rest stays as it is', async () => {
    await network('static', {
      EnableIPv6: true,
      IPAM: { Config: [{ Subnet: '10.78.0.0/24' }, { Subnet: 'fd78::/64' }] },
    })
    const request = sandbox('fixed', {
      endpoints: [on('static', { ipv4: '10.78.0.50', ipv6: 'fd78::50', mac: '02:42:0a:4d:01:99' })],
    })
    const info = await net.call('sandbox.create', request)
    assert.match(
      run(info.netns, 'ip', 'addr', 'show', 'eth0'),
      /02:42:0a:4d:01:99[^]*10\.78\.0\.50\/24[^]*fd78::50\/64/,
    )
    assert.match(run(info.netns, 'ip', '-6', 'route'), /default via fd78::1/)
    const other = sandbox('other')
    const before = await net.call('sandbox.create', other)
    await assert.rejects(
      net.call('endpoint.connect', { id: other.id, endpoint: on('static', { ipv4: '10.78.0.50' }) }),
      fails('forbidden', /Address already in use.*fixed/),
    )
    await assert.rejects(
      net.call('endpoint.connect', { id: other.id, endpoint: on('static', { ipv4: '10.79.0.50' }) }),
      fails('invalid', /10\.79\.0\.50/),
    )
    assert.deepEqual(await net.call('sandbox.inspect', { id: other.id }), before)
    for (const { id } of [request, other]) await net.call('sandbox.delete', { id })
    await net.call('network.remove', { ref: 'static' })
  })

  void it('the parameters of its interface are those that an endpoint asks for', async () => {
    const sysctls = 'net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.arp_ignore=2'
    const driverOptions = {
      'com.docker.network.endpoint.sysctls': sysctls,
      'com.docker.network.endpoint.ifname': 'lan.5',
    }
    await network('tuned')
    const request = sandbox('tuned', { endpoints: [on('tuned', { driverOptions })] })
    const { netns } = await net.call('sandbox.create', request)
    const conf = (name: string): string => run(netns, 'cat', `/proc/sys/net/ipv4/conf/lan.5/${name}`).trim()
    assert.deepEqual([conf('log_martians'), conf('arp_ignore')], ['1', '2'])
    const wrong = { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.nonsense=1' }
    await assert.rejects(
      net.call('endpoint.connect', { id: request.id, endpoint: on('bridge', { driverOptions: wrong }) }),
      fails('invalid', /cannot set sysctl net\/ipv4\/conf\/eth0\/nonsense=1/),
    )
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'tuned' })
  })

  void it('what a network can never give is known without asking for it', async () => {
    await network('bounded', { IPAM: { Config: [{ Subnet: '10.78.9.0/24' }] } })
    const check = (more: Parameters<typeof on>[1], ref = 'bounded') =>
      net.call('endpoint.check', { endpoint: on(ref, more) })
    for (const [more, text] of [
      [{ ipv4: '10.78.8.1' }, /no configured subnet contains IP address 10\.78\.8\.1/],
      [{ ipv4: '10.78.9.255' }, /end of the subnet/],
      [{ ipv6: 'fd00::1' }, /has no IPv6 subnet/],
      [{ mac: '00:00:00:00:00:00' }, /is no interface's/],
      [{ driverOptions: { 'com.docker.network.endpoint.x': '1' } }, /unknown endpoint option/],
    ] as const)
      await assert.rejects(check(more), text)
    await check({ ipv4: '10.78.9.9', mac: '0242.0a4d.0107', driverOptions: { team: 'net' } })
    await check({ ipv4: '10.78.8.1' }, 'not-there')
    await net.call('network.remove', { ref: 'bounded' })
  })

  void it('one that is made anew with the same name is found by it, when the id is no more', async () => {
    const { id: first } = await network('again')
    await net.call('network.remove', { ref: 'again' })
    const request = sandbox('late', { endpoints: [on(first, { networkName: 'again' })] })
    await assert.rejects(net.call('sandbox.create', request), /network again not found/)
    const { id: second } = await network('again')
    const info = await net.call('sandbox.create', request)
    assert.equal(info.endpoints[0]?.networkId, second)
    assert.deepEqual(await net.call('sandbox.create', request), info, 'the same request gives the same')
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'again' })
  })

  void it('internal: no way out', async () => {
    await network('inner', { Internal: true })
    const request = sandbox('in', { endpoints: [on('inner')] })
    const info = await net.call('sandbox.create', request)
    assert.doesNotMatch(run(info.netns, 'ip', 'route'), /default/)
    assert.equal(info.endpoints[0]?.gateway4, '')
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'inner' })
  })

  void it('icc=false keeps containers apart', async () => {
    await network('apart', { Options: { 'com.docker.network.bridge.enable_icc': 'false' } })
    const [a, b] = [sandbox('aa', { endpoints: [on('apart')] }), sandbox('bb', { endpoints: [on('apart')] })]
    const [ia, ib] = [await net.call('sandbox.create', a), await net.call('sandbox.create', b)]
    await keptApart(ia, ib)
    assert.ok(reaches(null, ia.endpoints[0]?.ipv4 ?? ''))
    for (const { id } of [a, b]) await net.call('sandbox.delete', { id })
    await net.call('network.remove', { ref: 'apart' })
  })

  void it('names: container, alias, network alone', async () => {
    await network('names')
    const [a, b] = [
      sandbox('alpha', { endpoints: [on('names')] }),
      sandbox('beta', { hostname: 'host', endpoints: [on('names', { aliases: ['www'] })] }),
    ]
    const [ia, ib] = [await net.call('sandbox.create', a), await net.call('sandbox.create', b)]
    assert.match(readFileSync(ia.resolvConfPath, 'utf8'), /^nameserver 127\.0\.0\.11$/m)
    const lookup = async (name: string): Promise<string> => {
      const child = spawn('nsenter', [`--net=${ia.netns}`, 'busybox', 'nslookup', name, '127.0.0.11'])
      let text = ''
      child.stdout.on('data', (data: Buffer) => (text += data.toString()))
      await once(child, 'exit')
      return text
    }
    const address = ib.endpoints[0]?.ipv4 ?? ''
    for (const name of ['beta', 'www', 'beta.names'])
      assert.match(await lookup(name), new RegExp(`Address.*${address}`), name)
    const { sandbox: renamed } = await net.call('sandbox.rename', { id: b.id, name: 'gamma' })
    assert.equal(renamed?.endpoints[0]?.dnsNames[0], 'gamma')
    assert.deepEqual(await net.call('sandbox.rename', { id: newId(), name: 'nobody' }), {})
    assert.match(await lookup('gamma'), new RegExp(`Address.*${address}`))
    assert.doesNotMatch(await lookup('beta'), new RegExp(`Address.*${address}`), 'the former name')
    for (const { id } of [a, b]) await net.call('sandbox.delete', { id })
    await net.call('network.remove', { ref: 'names' })
  })

  void it('a network made twice at once is one; 64 do not exhaust the pools', async () => {
    const id = newId()
    await Promise.all([1, 2].map(() => net.call('network.create', { id, spec: { Name: 'twice' } })))
    await net.call('network.remove', { ref: id })
    for (let i = 0; i < 64; i++) await network(`many${i}`, { Labels: { many: '1' } })
    const { NetworksDeleted } = await net.call('network.prune', { filters: { label: ['many=1'] } })
    assert.equal(NetworksDeleted.length, 64)
    await until('the bridges are gone', 20_000, () => links().filter((l) => l.startsWith('br-')).length === 0)
  })
})

void describe('recovery', () => {
  void it('a restart is not noticed: addresses, ports, names and files stay', async () => {
    await network('keep')
    const request = sandbox('keeper', {
      endpoints: [on('bridge'), on('keep')],
      ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPort: 18081 }],
    })
    const info = await net.call('sandbox.create', request)
    const before = [run(info.netns, 'ip', '-o', 'addr'), hosts(info), links()]
    await net.stop()
    net = await startNetworkService(dir, engine)
    assert.deepEqual(await net.call('sandbox.inspect', { id: request.id }), info)
    assert.deepEqual([run(info.netns, 'ip', '-o', 'addr'), hosts(info), links()], before)
    await net.call('sandbox.delete', { id: request.id })
    await net.call('network.remove', { ref: 'keep' })
  })

  void it('a lost veth is made again, with its default route', async () => {
    const request = sandbox('torn')
    const info = await net.call('sandbox.create', request)
    const veth = `${engine}-${info.endpoints[0]?.endpointId.slice(0, 9)}`
    await net.stop()
    run(null, 'ip', 'link', 'del', veth)
    run(null, 'ip', 'link', 'del', `${engine}0`)
    net = await startNetworkService(dir, engine)
    assert.match(run(info.netns, 'ip', 'route'), /^default via/)
    await until('it answers', 3000, () => reaches(null, info.endpoints[0]?.ipv4 ?? ''))
    await net.call('sandbox.delete', { id: request.id })
  })

  void it('a sandbox whose namespace is gone (reboot) is forgotten, with its addresses and ports', async () => {
    const ports = [{ protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPort: 18082 }] as const
    const request = sandbox('before', { ports: [...ports] })
    const info = await net.call('sandbox.create', request)
    await net.stop()
    deleteNetns(info.netns ?? '')
    net = await startNetworkService(dir, engine)
    await assert.rejects(net.call('sandbox.inspect', { id: request.id }), fails('not-found', /no network sandbox/))
    const again = await net.call('sandbox.create', request)
    assert.equal(again.ports.length, 1)
    assert.deepEqual(await net.call('sandbox.reconcile', { keep: [] }), { removed: [request.id] })
  })
})
