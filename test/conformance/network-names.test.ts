import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import dnsPacket, { type DecodedPacket, type Packet, type RecordType } from 'dns-packet'
import { DnsServer } from '../../services/network/dns/index.ts'
import { askTcp, askUdp } from '../../services/network/dns/upstream.ts'
import { Names } from '../../services/network/names.ts'
import type { SandboxInfo, SandboxRequest } from '../../shared/contracts/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { withNetns } from '../../shared/kernel/netns.ts'
import { bindSocket } from '../../shared/kernel/sockets.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'

/** What containers are told at 127.0.0.11, by the whole network service on the real kernel. This process's own namespace plays the host. */
const dir = mkdtempSync(join(tmpdir(), 'gantry-network-names-'))
const UPSTREAM = '127.0.0.1'
let net: NetworkService
let upstream: Socket
/** What the host's server was asked. */
const asked: string[] = []

const start = async (): Promise<void> => {
  net = await startNetworkService(dir, 'gnames', { dns: [UPSTREAM] })
}
const network = (name: string, spec: object = {}): Promise<{ id: string }> =>
  net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })
const make = (name: string, more: Partial<SandboxRequest>): Promise<SandboxInfo> =>
  net.call('sandbox.create', sandbox(name, more))

/** A DNS server that knows every name with a dot, by one address, and no other. */
function serve(socket: Socket, address: string, heard: string[]): Socket {
  socket.on('message', (message, from) => {
    const query = dnsPacket.decode(message)
    const name = query.questions?.[0]?.name ?? ''
    heard.push(`${query.questions?.[0]?.type} ${name}`)
    const answers: Packet['answers'] = name.startsWith('alias.')
      ? [
          { type: 'CNAME', name, ttl: 5, data: 'real.example' },
          { type: 'A', name: 'real.example', ttl: 5, data: address },
        ]
      : [{ type: 'A', name, ttl: 5, data: address }]
    const known = name.includes('.')
    socket.send(
      dnsPacket.encode({
        type: 'response',
        ...(query.id === undefined ? {} : { id: query.id }),
        flags: known ? 0 : 3,
        questions: query.questions ?? [],
        answers: known ? answers : [],
      }),
      from.port,
      from.address,
    )
  })
  return socket
}
const inside = (info: SandboxInfo, address: string, heard: string[]): Socket => {
  const fd = withNetns(info.netns ?? '', () => bindSocket('udp', address, 53))
  return serve(createSocket('udp4').bind({ fd }), address, heard)
}

interface Asking {
  readonly type?: RecordType
  readonly by?: typeof askUdp
  /** Size of a UDP reply that the client says it takes. */
  readonly edns?: number
}
async function ask(info: SandboxInfo, name: string, { type = 'A', by = askUdp, edns }: Asking = {}) {
  const question = dnsPacket.encode({
    type: 'query',
    id: 4711,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
    ...(edns === undefined
      ? {}
      : {
          additionals: [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: edns,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
        }),
  })
  const reply = await by(question, { server: '127.0.0.11', port: 53, netns: info.netns ?? '' }, 5000)
  assert.ok(reply, `${name} stays without an answer`)
  return { packet: dnsPacket.decode(reply), size: reply.length }
}
const data = ({ answers = [] }: DecodedPacket): unknown[] => answers.map((a) => ('data' in a ? a.data : undefined))
const CODES: Readonly<Record<number, string>> = { 2: 'SERVFAIL', 3: 'NXDOMAIN' }
/** Addresses, or why there are none. */
async function lookup(info: SandboxInfo, name: string, asking?: Asking): Promise<unknown[] | string> {
  const { packet } = await ask(info, name, asking)
  const code = (packet.flags ?? 0) & 0xf
  return code === 0 ? data(packet) : (CODES[code] ?? `${code}`)
}
const ipv4 = (info: SandboxInfo, at = 0): string => info.endpoints[at]?.ipv4 ?? ''

before(async () => {
  syscallFn('int unshare(int flags)')(0x40000000)
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  await start()
  upstream = serve(createSocket('udp4').bind(53, UPSTREAM), '192.0.2.1', asked)
})
afterEach(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.call('network.prune', { filters: {} })
  asked.length = 0
})
after(async () => {
  upstream.close()
  await net.stop()
  rmSync(dir, { recursive: true, force: true })
})

void describe('a container’s names', () => {
  void it('name, alias, short id, host name; in any case; on shared networks alone', async () => {
    for (const name of ['red', 'blue']) await network(name)
    const web = await make('web', { hostname: 'host.with.dots', endpoints: [on('red', { aliases: ['App'] })] })
    const db = await make('db', { endpoints: [on('red'), on('blue')] })
    const far = await make('far', { endpoints: [on('blue')] })
    for (const name of ['web', 'wEb', 'app', web.id.slice(0, 12), 'host.with.dots', 'web.red', 'Web.RED']) {
      const { packet } = await ask(db, name)
      assert.deepEqual(data(packet), [ipv4(web)], name)
      // A client that mixes the case wants to see its own mix again (0x20).
      assert.deepEqual([packet.questions?.[0]?.name, packet.answers?.[0]?.name], [name, name])
    }
    assert.deepEqual(await lookup(far, 'db'), [ipv4(db, 1)], 'the address on the network that both are on')
    assert.equal(await lookup(far, 'web'), 'NXDOMAIN')
    assert.deepEqual(await lookup(db, 'web.blue'), ['192.0.2.1'], 'not a name of ours')
    assert.deepEqual(asked, ['A web', 'A web.blue'])
  })

  void it('what there is not of a known name is an empty answer, and nobody else is asked', async () => {
    await network('red')
    const web = await make('web', { endpoints: [on('red')] })
    for (const type of ['AAAA', 'MX', 'TXT', 'SRV', 'CNAME', 'NS'] as const)
      for (const name of ['web', 'web.red']) assert.deepEqual(await lookup(web, name, { type }), [], `${type} ${name}`)
    assert.deepEqual(asked, [])
  })

  void it('IPv6, and the names of addresses', async () => {
    await network('six', {
      EnableIPv6: true,
      IPAM: { Config: [{ Subnet: '10.99.6.0/24' }, { Subnet: 'fd99:6::/64' }] },
    })
    const web = await make('web', { endpoints: [on('six', { ipv4: '10.99.6.7', ipv6: 'fd99:6::7' })] })
    assert.deepEqual(await lookup(web, 'web', { type: 'AAAA' }), ['fd99:6::7'])
    const reverse = ['7.6.99.10.in-addr.arpa', `7.${'0.'.repeat(23)}6.0.0.0.9.9.d.f.ip6.arpa`]
    for (const name of reverse) assert.deepEqual(await lookup(web, name, { type: 'PTR' }), ['web.six'], name)
    assert.deepEqual(asked, [])
    await lookup(web, '9.6.99.10.in-addr.arpa', { type: 'PTR' })
    assert.deepEqual(asked, ['PTR 9.6.99.10.in-addr.arpa'])
  })

  void it('a long answer is cut to what the client takes over UDP, and whole over TCP', async () => {
    await network('red')
    const first = await make('c0', { endpoints: [on('red', { aliases: ['many'] })] })
    for (let i = 1; i < 40; i++) await make(`c${i}`, { endpoints: [on('red', { aliases: ['many'] })] })
    for (const [edns, limit] of [
      [undefined, 512],
      [100, 512],
      [600, 600],
    ] as const) {
      const { packet, size } = await ask(first, 'many', edns === undefined ? {} : { edns })
      assert.ok(packet.flag_tc && size <= limit && size > limit - 30, `${edns}: ${size}`)
    }
    const whole = await ask(first, 'many', { edns: 4096 })
    assert.equal(whole.packet.flag_tc, false)
    assert.equal(whole.packet.answers?.length, 40)
    const { packet } = await ask(first, 'many', { by: askTcp })
    assert.deepEqual([packet.flag_tc, packet.answers?.length], [false, 40])
  })

  void it('resolv.conf says how single names are looked for', async () => {
    await network('red')
    const wishes = { dnsSearch: ['corp.example', 'example'], dnsOptions: ['ndots:2', 'timeout:1'] }
    const web = await make('web', { ...wishes, endpoints: [on('red')] })
    assert.equal(
      readFileSync(web.resolvConfPath, 'utf8'),
      'nameserver 127.0.0.11\nsearch corp.example example\noptions ndots:2 timeout:1\n',
    )
    // What a client then asks for is somebody else's.
    assert.deepEqual(await lookup(web, 'web.corp.example'), ['192.0.2.1'])
    assert.deepEqual(await lookup(web, 'web'), [ipv4(web)])
  })

  void it('a link finds whoever has that name now, on its own network', async () => {
    for (const name of ['red', 'blue']) await network(name)
    const link = { id: '', name: 'db', alias: 'store' }
    const web = await make('web', { endpoints: [on('red', { links: [link] }), on('blue')] })
    const other = await make('db', { endpoints: [on('blue')] })
    assert.equal(await lookup(web, 'store'), 'NXDOMAIN')
    await net.call('sandbox.delete', { id: other.id })
    const db = await make('db', { endpoints: [on('red')] })
    assert.deepEqual(await lookup(web, 'store'), [ipv4(db)])
    await net.call('sandbox.delete', { id: db.id })
    await make('taker', { endpoints: [on('red')] })
    const again = await make('db', { endpoints: [on('red')] })
    assert.deepEqual(await lookup(web, 'store'), [ipv4(again)])
    await net.call('endpoint.disconnect', { id: web.id, network: 'red', force: false })
    await net.call('endpoint.connect', { id: web.id, endpoint: on('red') })
    assert.equal(await lookup(web, 'store'), 'NXDOMAIN')
    assert.deepEqual(await lookup(web, 'db'), [ipv4(again)])
  })

  void it('a container that shares the network of one that ended still sees the others, as before and after a restart', async () => {
    await network('red')
    const web = await make('web', { endpoints: [on('red')] })
    const db = await make('db', { endpoints: [on('red')] })
    await make('joiner', { mode: { kind: 'container', target: web.id } })
    await net.call('sandbox.delete', { id: web.id })
    for (let restarted = 0; restarted < 2; restarted++) {
      assert.deepEqual(await lookup(web, 'db'), [ipv4(db)])
      assert.equal(await lookup(db, 'web'), 'NXDOMAIN', 'it does not run')
      await net.stop()
      await start()
    }
  })
})

void describe('other names', () => {
  void it('come from the host’s servers, as they are', async () => {
    await network('red')
    const web = await make('web', { endpoints: [on('red')] })
    assert.deepEqual(await lookup(web, 'www.example'), ['192.0.2.1'])
    assert.deepEqual(await lookup(web, 'alias.example'), ['real.example', '192.0.2.1'])
  })

  void it('do not for who is on internal networks alone; the default bridge leads out', async () => {
    await network('inner', { Internal: true })
    const shut = await make('shut', { endpoints: [on('inner')] })
    const open = await make('open', { endpoints: [on('bridge'), on('inner')] })
    assert.equal(await lookup(shut, 'www.example'), 'SERVFAIL')
    assert.deepEqual(await lookup(open, 'www.example'), ['192.0.2.1'])
    assert.deepEqual(await lookup(open, 'shut'), [ipv4(shut)])
  })

  void it('--dns is asked from within the container: its own loopback, another container', async () => {
    await network('inner', { Internal: true })
    const server = await make('server', { endpoints: [on('inner')] })
    const local = await make('local', { dns: ['127.0.0.1'], endpoints: [on('inner')] })
    const remote = await make('remote', { dns: [ipv4(server)], endpoints: [on('inner')] })
    const heard: string[] = []
    const sockets = [inside(local, '127.0.0.1', heard), inside(server, ipv4(server), heard)]
    assert.deepEqual(await lookup(local, 'www.example'), ['127.0.0.1'])
    assert.deepEqual(await lookup(remote, 'www.example'), [ipv4(server)])
    assert.deepEqual(await lookup(remote, 'server'), [ipv4(server)])
    assert.deepEqual(heard, ['A www.example', 'A www.example'])
    assert.deepEqual(asked, [])
    sockets.forEach((socket) => socket.close())
  })
})

void describe('after a restart', () => {
  void it('nobody is answered before the names of all are known', async () => {
    await network('red')
    for (const name of ['a', 'b', 'c']) await make(name, { endpoints: [on('red')] })
    await net.stop()
    const order: string[] = []
    const set = mock.method(Names.prototype, 'set')
    const attach = mock.method(DnsServer.prototype, 'attach', async () => {
      order.push(`${set.mock.callCount()} known`)
    })
    try {
      await start()
    } finally {
      mock.restoreAll()
    }
    assert.equal(attach.mock.callCount(), 3)
    assert.deepEqual(order, ['3 known', '3 known', '3 known'])
  })
})
