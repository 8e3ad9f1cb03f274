import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { PortRequest, SandboxInfo } from '../../shared/contracts/index.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { Testbed } from '../support/network-testbed.ts'
import { Client, reach, Server } from '../support/probes.ts'
import { until } from '../support/until.ts'

/**
 * Who reaches containers of networks that are not `nat`, and as whom: a host with a machine on its LAN that has routes to all networks, a
 * network `home` of the usual kind, and one of each gateway mode.
 */
const bed = new Testbed()
const HOST = { 4: '192.0.2.1', 6: 'fd02::1' } as const
const LAN = { 4: '192.0.2.9', 6: 'fd02::9' } as const
const NETWORKS = { home: 81, routed: 82, bare: 84 } as const
const FAMILIES = [4, 6] as const
type Family = (typeof FAMILIES)[number]

let net: NetworkService
const info = new Map<string, SandboxInfo>()

const option = (mode: string, ...families: Family[]): object =>
  Object.fromEntries(families.map((family) => [`com.docker.network.bridge.gateway_mode_ipv${family}`, mode]))
const network = (name: string, spec: object): Promise<unknown> =>
  net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })
const dual = (n: number, options: object = {}): object => ({
  EnableIPv6: true,
  IPAM: { Config: [{ Subnet: `10.${n}.0.0/24` }, { Subnet: `fd${n}::/64` }] },
  Options: options,
})
const publish = (containerPort: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  containerPort,
  hostIp: '',
  hostPort: 0,
  ...more,
})
async function container(name: string, on_: string, ports: PortRequest[] = []): Promise<SandboxInfo> {
  const made = await net.call('sandbox.create', sandbox(name, { endpoints: [on(on_)], ports }))
  info.set(name, made)
  return made
}
const remove = async (name: string): Promise<void> => {
  await net.call('sandbox.delete', { id: info.get(name)?.id ?? '' })
  info.delete(name)
}
const netns = (name: string): string | undefined =>
  name === 'host' ? undefined : name === 'lan' ? bed.path('lan') : (info.get(name)?.netns ?? '')
const address = (name: string, family: Family): string => {
  if (name === 'lan') return LAN[family]
  const endpoint = info.get(name)?.endpoints[0]
  return (family === 4 ? endpoint?.ipv4 : endpoint?.ipv6) ?? ''
}
/** Whom a server of a container (or of the LAN's machine) sees when it is asked at an address; `''` when it is not reached. */
function seen(server: { of: string; port: number }, from: string, to: string, port: number): string {
  const there = new Server(netns(server.of), 'tcp', server.port, isIPv6(to) ? 6 : 4)
  try {
    return reach(there, netns(from), 'tcp', to, port)
  } finally {
    there.close()
  }
}
/** The same at its own address. */
const direct = (from: string, of: string, port: number, family: Family): string =>
  seen({ of, port }, from, address(of, family), port)
const pings = (from: string, to: string, family: Family): boolean => {
  try {
    bed.run(`nsenter --net=${netns(from)} busybox ping -c3 -W1 ${address(to, family)}`)
    return true
  } catch {
    return false
  }
}

/** The host's addresses on new bridges are its own after a second: duplicate address detection. */
const settled = (): Promise<unknown> => until('IPv6 addresses', 5000, () => bed.run('ip -6 addr show tentative') === '')

before(async () => {
  bed.machine('lan', { addresses: [`${HOST[4]}/24`, `${HOST[6]}/64`] }, [`${LAN[4]}/24`, `${LAN[6]}/64`])
  net = await startNetworkService(bed.dir, 'gmode')
  await network('home', dual(NETWORKS.home))
  await network('routed', dual(NETWORKS.routed, option('routed', 4, 6)))
  await network('bare', dual(NETWORKS.bare, option('nat-unprotected', 4, 6)))
  await container('stranger', 'home')
  await container('server', 'routed', [
    publish(701, { hostPort: 7701 }),
    publish(701),
    publish(53, { protocol: 'udp' }),
  ])
  await container('neighbour', 'routed')
  await container('open', 'bare', [publish(701, { hostPort: 7702 })])
  await settled()
  bed.runIn('lan', `ip route add 10.80.0.0/13 via ${HOST[4]}`)
  bed.runIn('lan', `ip -6 route add fd80::/13 via ${HOST[6]}`)
})

after(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  bed.close()
})

for (const family of FAMILIES) {
  describe(`routed over IPv${family}`, () => {
    for (const from of ['lan', 'stranger', 'neighbour'])
      it(`${from} reaches a published port at the container's own address, and is seen as itself`, () =>
        assert.equal(direct(from, 'server', 701, family), address(from, family)))

    it('the host reaches every port', () => {
      for (const port of [701, 9000]) assert.notEqual(direct('host', 'server', port, family), '', String(port))
    })

    it('nobody from elsewhere reaches another port, or one of a container that publishes none', () => {
      for (const from of ['lan', 'stranger']) {
        assert.equal(direct(from, 'server', 9000, family), '', from)
        assert.equal(direct(from, 'neighbour', 701, family), '', from)
      }
    })

    it('no port of the host leads there', () =>
      assert.equal(seen({ of: 'server', port: 701 }, 'lan', HOST[family], 7701), ''))

    it('answers pings from elsewhere', () => {
      for (const from of ['lan', 'stranger']) assert.ok(pings(from, 'server', family), from)
    })

    it('what leaves has the address of the container', () =>
      assert.equal(direct('server', 'lan', 9000, family), address('server', family)))

    it('what others have published is reached by the host only', () => {
      assert.equal(direct('server', 'stranger', 701, family), '')
      assert.notEqual(seen({ of: 'open', port: 701 }, 'server', HOST[family], 7702), '')
    })
  })

  describe(`nat-unprotected over IPv${family}`, () => {
    it('the LAN reaches every port, at the own address and by the host', () => {
      for (const port of [701, 9000]) assert.equal(direct('lan', 'open', port, family), LAN[family], String(port))
      assert.equal(seen({ of: 'open', port: 701 }, 'lan', HOST[family], 7702), LAN[family])
    })

    it('other networks reach what is published on the host alone', () => {
      for (const from of ['stranger', 'server']) {
        assert.equal(direct(from, 'open', 9000, family), '', from)
        assert.equal(direct(from, 'open', 701, family), '', from)
      }
    })

    it("what leaves has the host's address", () => assert.equal(direct('open', 'lan', 9000, family), HOST[family]))
  })
}

describe('routed', () => {
  it('shows its ports once, without a port of the host', () =>
    assert.deepEqual(
      info.get('server')?.ports.map((p) => `${p.hostIp}:${p.hostPort} ${p.containerPort}/${p.protocol}`),
      ['0.0.0.0:0 701/tcp', ':::0 701/tcp', '0.0.0.0:0 53/udp', ':::0 53/udp'],
    ))

  it('holds no port of the host', async () => {
    await container('other', 'home', [publish(80, { hostPort: 7701 })])
    await remove('other')
  })

  it('over IPv6 alone, IPv4 is as usual', async () => {
    await network('mixed', dual(85, option('routed', 6)))
    const { ports } = await container('mixed', 'mixed', [publish(701, { hostPort: 7703 })])
    assert.deepEqual(
      ports.map((p) => `${p.hostIp}:${p.hostPort}`),
      ['0.0.0.0:7703', ':::0'],
    )
    await settled()
    assert.equal(seen({ of: 'mixed', port: 701 }, 'lan', HOST[4], 7703), LAN[4])
    assert.equal(direct('lan', 'mixed', 701, 4), '')
    assert.equal(direct('lan', 'mixed', 701, 6), LAN[6])
    assert.equal(seen({ of: 'mixed', port: 701 }, 'lan', HOST[6], 7703), '')
    await remove('mixed')
    await net.call('network.remove', { ref: 'mixed' })
  })

  it('is what the rules say after a restart too', async () => {
    await net.stop()
    net = await startNetworkService(bed.dir, 'gmode')
    assert.equal(direct('lan', 'server', 701, 4), LAN[4])
    assert.equal(direct('lan', 'server', 9000, 4), '')
  })

  it('a container that goes takes its openings along: an established connection ends', async () => {
    const first = await container('first', 'routed', [publish(80)])
    const client = new Client(netns('lan'), 'tcp', address('first', 4), 80)
    const server = new Server(netns('first'), 'tcp', 80, 4)
    try {
      assert.ok(client.ask())
      assert.equal(server.answer('answer', 'keep'), LAN[4])
      const opened = (): string => bed.run(`nft list set inet gantry-gmode open4`)
      const { ipv4 } = first.endpoints[0] ?? {}
      assert.ok(opened().includes(`${ipv4} . tcp . 80`))
      await remove('first')
      assert.ok(!opened().includes(`${ipv4} . tcp . 80`))
    } finally {
      client.close()
      server.close()
    }
  })

  it('without icc neighbours do not reach each other, published or not', async () => {
    await network('apart', dual(86, { ...option('routed', 4), 'com.docker.network.bridge.enable_icc': 'false' }))
    await container('one', 'apart', [publish(701)])
    await container('two', 'apart')
    assert.equal(direct('lan', 'one', 701, 4), LAN[4])
    assert.equal(direct('two', 'one', 701, 4), '')
    for (const name of ['one', 'two']) await remove(name)
    await net.call('network.remove', { ref: 'apart' })
  })
})

describe('isolated', () => {
  it('the host has no address there, and its containers reach each other alone', async () => {
    const bridge = { 'com.docker.network.bridge.name': 'iso0' }
    await network('isolated', { Internal: true, ...dual(87, { ...option('isolated', 4, 6), ...bridge }) })
    const { IPAM } = (await net.call('network.inspect', { ref: 'isolated' })) as { IPAM: { Config: object[] } }
    assert.deepEqual(IPAM.Config, [{ Subnet: '10.87.0.0/24' }, { Subnet: 'fd87::/64' }])
    assert.doesNotMatch(bed.run('ip addr show iso0'), /inet/)
    const { endpoints } = await container('alone', 'isolated')
    assert.deepEqual([endpoints[0]?.ipv4, endpoints[0]?.gateway4, endpoints[0]?.gateway6], ['10.87.0.1', '', ''])
    await container('mate', 'isolated')
    for (const family of FAMILIES) {
      assert.ok(pings('mate', 'alone', family), `IPv${family}`)
      assert.equal(direct('lan', 'alone', 701, family), '')
      assert.equal(direct('stranger', 'alone', 701, family), '')
    }
    for (const name of ['alone', 'mate']) await remove(name)
    await net.call('network.remove', { ref: 'isolated' })
  })

  it('a gateway that is asked for is kept free, for a container that is the router', async () => {
    const IPAM = { Config: [{ Subnet: '10.88.0.0/24', Gateway: '10.88.0.1' }] }
    await network('kept', { Internal: true, IPAM, Options: option('isolated', 4) })
    const { endpoints } = await container('alone', 'kept')
    assert.equal(endpoints[0]?.ipv4, '10.88.0.2')
    await remove('alone')
    await net.call('network.remove', { ref: 'kept' })
  })

  it('is refused for a network that leads out', () =>
    assert.rejects(
      network('refused', { Options: option('isolated', 4) }),
      /gateway mode 'isolated' can only be used for an internal network/,
    ))
})
