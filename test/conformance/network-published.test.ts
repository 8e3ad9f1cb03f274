import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Protocol } from '../../services/network/firewall/index.ts'
import type { PortRequest, SandboxInfo } from '../../shared/contracts/index.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { Testbed } from '../support/network-testbed.ts'
import { Client, reach, Server } from '../support/probes.ts'
import { until } from '../support/until.ts'

/**
 * Who reaches what, and as whom, through the real service: a host with a machine on its LAN, networks `home` (two containers), `far` and
 * `inner` (internal).
 */
const bed = new Testbed()
const HOST = { 4: '192.0.2.1', 6: 'fd02::1' } as const
const LAN = { 4: '192.0.2.9', 6: 'fd02::9' } as const
const GATEWAY = { home: { 4: '10.81.0.1', 6: 'fd81::1' }, far: { 4: '10.82.0.1', 6: 'fd82::1' } } as const
const INNER_GATEWAY = '10.83.0.1'
const PROTOCOLS: Protocol[] = ['tcp', 'udp', 'sctp']
const FAMILIES = [4, 6] as const
/** Ports of the container; on the host 7000 more, and those on loopback alone 8000 more. */
const PORT = { tcp: 701, udp: 702, sctp: 703 } as const

let net: NetworkService
const info = new Map<string, SandboxInfo>()
const ids: string[] = []
const servers: Server[] = []

async function container(
  name: string,
  network: string,
  ports: PortRequest[] = [],
  ipv4?: string,
): Promise<SandboxInfo> {
  const request = sandbox(name, { endpoints: [on(network, ipv4 === undefined ? {} : { ipv4 })], ports })
  const made = await net.call('sandbox.create', request)
  info.set(name, made)
  ids.push(request.id)
  return made
}
const remove = (name: string): Promise<object> => net.call('sandbox.delete', { id: info.get(name)?.id ?? '' })
/** The namespace file of a container or of the LAN's machine; undefined for the host. */
const netns = (name: string): string | undefined =>
  name === 'host' ? undefined : name === 'lan' ? bed.path('lan') : (info.get(name)?.netns ?? '')
const address = (name: string, family: 4 | 6): string => {
  const endpoint = info.get(name)?.endpoints[0]
  return (family === 4 ? endpoint?.ipv4 : endpoint?.ipv6) ?? ''
}
const serve = (name: string, protocol: Protocol, port: number, family: 4 | 6): Server => {
  const server = new Server(netns(name), protocol, port, family)
  servers.push(server)
  return server
}
const publish = (protocol: Protocol, containerPort: number, hostPort: number, hostIp = ''): PortRequest => ({
  protocol,
  containerPort,
  hostIp,
  hostPort,
})
const flows = (): string[] => readFileSync('/proc/thread-self/net/nf_conntrack', 'utf8').split('\n')

before(async () => {
  bed.machine('lan', { addresses: [`${HOST[4]}/24`, `${HOST[6]}/64`] }, [`${LAN[4]}/24`, `${LAN[6]}/64`])
  net = await startNetworkService(bed.dir, 'gtest')
  const network = (name: string, more: object): Promise<unknown> =>
    net.call('network.create', { id: newId(), spec: { Name: name, ...more } })
  for (const [name, n] of [
    ['home', 81],
    ['far', 82],
  ] as const) {
    const subnets = [{ Subnet: `10.${n}.0.0/24` }, { Subnet: `fd${n}::/64` }]
    await network(name, { EnableIPv6: true, IPAM: { Config: subnets } })
  }
  await network('inner', { Internal: true, IPAM: { Config: [{ Subnet: '10.83.0.0/24' }] } })
  const ports = PROTOCOLS.flatMap((p) => [
    publish(p, PORT[p], PORT[p] + 7000),
    publish(p, PORT[p], PORT[p] + 8000, '127.0.0.1'),
  ])
  await container('server', 'home', ports)
  await container('neighbour', 'home')
  await container('stranger', 'far')
  await container('insider', 'inner')
  await container('insider2', 'inner')
  // The host's link-local addresses on the bridges are its own after a second: duplicate address detection.
  const tentative = (): string => bed.run('ip -6 addr show tentative')
  await until('IPv6 addresses', 5000, () => tentative() === '')
  // As attackers would: the LAN knows the way to the containers' own addresses, the insider the way out.
  bed.runIn('lan', `ip route add 10.80.0.0/13 via ${HOST[4]}`)
  bed.runIn('lan', `ip -6 route add fd80::/13 via ${HOST[6]}`)
  bed.run(`nsenter --net=${netns('insider')} ip route add default via ${INNER_GATEWAY}`)
})

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

after(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  bed.close()
})

for (const protocol of PROTOCOLS) {
  for (const family of FAMILIES) {
    describe(`${protocol} over IPv${family}`, () => {
      const published = PORT[protocol] + 7000
      const onLoopback = PORT[protocol] + 8000
      const { home, far } = { home: GATEWAY.home[family], far: GATEWAY.far[family] }
      /** From whom, to where, and whom the container sees. */
      const reaches: [string, string, number, string][] = [
        ['lan', HOST[family], published, LAN[family]],
        ['host', HOST[family], published, home],
        ['server', HOST[family], published, home],
        ['server', home, published, home],
        ['neighbour', HOST[family], published, home],
        ['neighbour', home, published, home],
        ['stranger', HOST[family], published, home],
        ['stranger', far, published, home],
        ['stranger', home, published, home],
      ]
      if (family === 4) {
        reaches.push(['host', '127.0.0.1', published, home], ['host', '127.0.0.1', onLoopback, home])
      }
      for (const [from, to, port, seen] of reaches) {
        it(`${from} reaches ${to}:${port}`, () => {
          const server = serve('server', protocol, PORT[protocol], family)
          assert.equal(reach(server, netns(from), protocol, to, port), seen)
        })
      }

      it('neighbours reach each other', () => {
        const server = serve('server', protocol, PORT[protocol], family)
        assert.equal(
          reach(server, netns('neighbour'), protocol, address('server', family), PORT[protocol]),
          address('neighbour', family),
        )
      })

      it('containers reach the LAN, with the address of the host', () => {
        const server = serve('lan', protocol, 9000, family)
        assert.equal(reach(server, netns('stranger'), protocol, LAN[family], 9000), HOST[family])
      })

      it('containers reach the host itself by any of its addresses', () => {
        const server = serve('host', protocol, 9000, family)
        // A UDP socket of every address answers with the address that the route back has: that of the asker's own gateway.
        for (const to of protocol === 'udp' ? [far] : [HOST[family], far, home])
          assert.equal(reach(server, netns('stranger'), protocol, to, 9000), address('stranger', family), to)
      })

      const kept: [string, string, number][] = [
        ['lan', HOST[family], onLoopback],
        ['neighbour', HOST[family], onLoopback],
        ['neighbour', home, onLoopback],
        ['stranger', home, onLoopback],
        ['lan', 'server', PORT[protocol]],
        ['stranger', 'server', PORT[protocol]],
      ]
      if (family === 4) kept.push(['insider', HOST[4], published], ['insider', INNER_GATEWAY, published])
      for (const [from, to, port] of kept) {
        it(`${from} does not reach ${to}:${port}`, () => {
          const server = serve('server', protocol, PORT[protocol], family)
          const where = to === 'server' ? address('server', family) : to
          assert.ok(where !== '' && isIPv6(where) === (family === 6))
          assert.equal(reach(server, netns(from), protocol, where, port), '')
        })
      }
    })
  }

  describe(`${protocol} and the internal network`, () => {
    it('its containers reach each other, and the host reaches them', () => {
      const server = serve('insider', protocol, 901, 4)
      const reachFrom = (from: string): string => reach(server, netns(from), protocol, address('insider', 4), 901)
      assert.equal(reachFrom('insider2'), address('insider2', 4))
      assert.equal(reachFrom('host'), INNER_GATEWAY)
    })

    it('nobody else does', () => {
      const server = serve('insider', protocol, 901, 4)
      for (const from of ['lan', 'stranger'])
        assert.equal(reach(server, netns(from), protocol, address('insider', 4), 901), '', from)
    })

    it('it has no way out', () => {
      assert.equal(reach(serve('lan', protocol, 901, 4), netns('insider'), protocol, LAN[4], 901), '')
      const server = serve('server', protocol, 901, 4)
      assert.equal(reach(server, netns('insider'), protocol, address('server', 4), 901), '')
    })
  })
}

describe('flows that were there before', () => {
  const PUBLISHED = [publish('tcp', 80, 7080), publish('udp', 53, 7053)]

  it('an established TCP connection to a container that is gone is refused, and does not wait', async () => {
    await container('first', 'home', PUBLISHED)
    const server = serve('first', 'tcp', 80, 4)
    const client = new Client(netns('lan'), 'tcp', HOST[4], 7080)
    try {
      assert.ok(client.ask())
      assert.equal(server.answer('answer', 'keep'), LAN[4])
      assert.equal(client.hear(), 'answer')
      await remove('first')
      await until('the flow is forgotten', 2000, () => !flows().some((flow) => flow.includes('dport=7080')))
      assert.ok(client.ask())
      assert.throws(() => client.hear(), { code: 'ECONNRESET' })
    } finally {
      client.close()
    }
  })

  it('a UDP client that goes on sending reaches the new container, at once when that is there', async () => {
    await container('first', 'home', PUBLISHED, '10.81.0.50')
    const client = new Client(netns('lan'), 'udp', HOST[4], 7053)
    try {
      const first = serve('first', 'udp', 53, 4)
      client.ask()
      assert.equal(first.answer('first'), LAN[4])
      assert.equal(client.hear(), 'first')
      const { port } = client
      await remove('first')
      client.ask()
      assert.equal(client.hear(), '', 'nobody is there now: the host itself has the flow')
      await container('second', 'home', PUBLISHED, '10.81.0.51')
      const second = serve('second', 'udp', 53, 4)
      client.ask()
      assert.equal(second.answer('second'), LAN[4])
      assert.equal(client.hear(), 'second')
      assert.equal(client.port, port)
    } finally {
      client.close()
      await remove('second')
    }
  })

  it('hundreds of them are forgotten', async () => {
    await container('first', 'home', PUBLISHED, '10.81.0.50')
    const clients = Array.from({ length: 300 }, () => new Client(netns('lan'), 'udp', HOST[4], 7053))
    const left = (): number => flows().filter((flow) => flow.includes('src=10.81.0.50')).length
    for (const client of clients) client.ask()
    assert.ok(left() >= 300)
    await remove('first')
    await until('they are gone', 2000, () => left() === 0)
    for (const client of clients) client.close()
  })

  it("other containers' questions to name servers stay when port 53 is published", async () => {
    const client = new Client(netns('stranger'), 'udp', LAN[4], 53)
    const server = serve('lan', 'udp', 53, 4)
    try {
      client.ask()
      const mine = (): boolean => flows().some((flow) => flow.includes(`sport=${client.port} dport=53`))
      assert.ok(mine())
      await container('dns', 'home', [publish('udp', 53, 53)])
      assert.ok(mine())
      assert.equal(server.answer(), HOST[4])
      assert.equal(client.hear(), 'answer')
      await remove('dns')
    } finally {
      client.close()
    }
  })
})
