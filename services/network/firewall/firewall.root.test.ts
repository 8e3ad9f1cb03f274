import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Nft } from '../../../shared/kernel/nft.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { SENDER, Testbed } from '../../../test/support/network-testbed.ts'
import { Firewall, type FirewallNetwork, type PublishedPort } from './index.ts'

/** A host with networks a (two containers), b, i (internal) and q (containers kept apart), and a machine on its LAN. */
const bed = new Testbed()
const nft = new Nft()
const firewall = new Firewall({ engine: 'gtest', log: createLogger('test', 'silent') })
const LAN = '192.0.2.9'
const HOST = '192.0.2.1'

const network = (bridge: string, more: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  id: bridge,
  bridge,
  internal: false,
  icc: true,
  masquerade: true,
  ipv6: true,
  ...more,
})

const PORTS: PublishedPort[] = [
  { protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080, address: '10.77.1.2', containerPort: 80 },
  { protocol: 'tcp', hostIp: '::', hostPort: 8080, address: 'fd77:1::2', containerPort: 80 },
  { protocol: 'tcp', hostIp: '127.0.0.1', hostPort: 8081, address: '10.77.1.2', containerPort: 80 },
]

before(async () => {
  bed.bridge('br-a', '10.77.1.1/24', 'fd77:1::1/64')
  bed.bridge('br-b', '10.77.2.1/24', 'fd77:2::1/64')
  bed.bridge('br-i', '10.77.3.1/24')
  bed.bridge('br-q', '10.77.4.1/24')
  bed.machine('a1', { bridge: 'br-a' }, ['10.77.1.2/24', 'fd77:1::2/64'])
  bed.machine('a2', { bridge: 'br-a' }, ['10.77.1.3/24', 'fd77:1::3/64'])
  bed.machine('b1', { bridge: 'br-b' }, ['10.77.2.2/24', 'fd77:2::2/64'])
  bed.machine('i1', { bridge: 'br-i' }, ['10.77.3.2/24'])
  bed.machine('i2', { bridge: 'br-i' }, ['10.77.3.3/24'])
  bed.machine('q1', { bridge: 'br-q' }, ['10.77.4.2/24'])
  bed.machine('q2', { bridge: 'br-q' }, ['10.77.4.3/24'])
  bed.machine('lan', { addresses: [`${HOST}/24`, 'fd02::1/64'] }, [`${LAN}/24`, 'fd02::9/64'])
  for (const [name, n] of [
    ['a1', 1],
    ['a2', 1],
    ['b1', 2],
    ['i1', 3],
    ['i2', 3],
    ['q1', 4],
    ['q2', 4],
  ] as const) {
    bed.runIn(name, `ip route add default via 10.77.${n}.1`)
    if (n < 3) bed.runIn(name, `ip -6 route add default via fd77:${n}::1`)
  }
  // The LAN's machine knows the way to the containers' own addresses, as an attacker would.
  bed.runIn('lan', `ip route add 10.77.0.0/16 via ${HOST}`)
  bed.runIn('lan', 'ip -6 route add fd77::/16 via fd02::1')
  for (const name of ['a1', 'b1', 'i1', 'q1', 'lan']) await bed.serve(name, 80, name)
  await bed.serve('a1', 81, SENDER)
  firewall.sync({ networks: [network('br-a')], ports: new Map([['a1', PORTS]]) })
  firewall.addNetwork(network('br-b'))
  firewall.addNetwork(network('br-i', { internal: true }))
  firewall.addNetwork(network('br-q', { icc: false }))
})

after(() => {
  firewall.close()
  nft.close()
  bed.close()
})

const brNetfilter = (on: '0' | '1'): void => {
  for (const family of ['iptables', 'ip6tables']) writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${family}`, on)
}

for (const bridged of ['1', '0'] as const) {
  describe(`with br_netfilter ${bridged === '1' ? 'on' : 'off'}`, () => {
    before(() => brNetfilter(bridged))

    const reaches: [string, string | undefined, string, string][] = [
      ['host, loopback', undefined, '127.0.0.1:8080', 'a1'],
      ['host, loopback, published there alone', undefined, '127.0.0.1:8081', 'a1'],
      ['host, own address', undefined, `${HOST}:8080`, 'a1'],
      ['host, own IPv6 address', undefined, '[fd02::1]:8080', 'a1'],
      ['host, container address', undefined, '10.77.1.2', 'a1'],
      ['LAN', 'lan', `${HOST}:8080`, 'a1'],
      ['LAN, IPv6', 'lan', '[fd02::1]:8080', 'a1'],
      ['same network, through its gateway', 'a2', '10.77.1.1:8080', 'a1'],
      ['same network, through the host', 'a2', `${HOST}:8080`, 'a1'],
      ['same network, IPv6', 'a2', '[fd02::1]:8080', 'a1'],
      ['itself, through the host', 'a1', `${HOST}:8080`, 'a1'],
      ['another network', 'b1', `${HOST}:8080`, 'a1'],
      ['another network, IPv6', 'b1', '[fd02::1]:8080', 'a1'],
      ['a network without icc', 'q1', `${HOST}:8080`, 'a1'],
      ['container to container', 'a2', '10.77.1.2', 'a1'],
      ['container to container on an internal network', 'i2', '10.77.3.2', 'i1'],
      ['container to LAN', 'a2', LAN, 'lan'],
      ['container to LAN, IPv6', 'a2', '[fd02::9]', 'lan'],
    ]
    for (const [name, from, to, page] of reaches) {
      test(`reaches: ${name}`, () => assert.equal(bed.get(from, `http://${to}/`), page))
    }

    const kept: [string, string | undefined, string][] = [
      ['LAN to what is published on loopback', 'lan', `${HOST}:8081`],
      ['LAN to a container directly', 'lan', '10.77.1.2'],
      ['LAN to a container directly, IPv6', 'lan', '[fd77:1::2]'],
      ['one network to another', 'b1', '10.77.1.2'],
      ['one network to another, IPv6', 'b1', '[fd77:1::2]'],
      ['a network to an internal one', 'a1', '10.77.3.2'],
      ['an internal network to the LAN', 'i1', LAN],
      ['an internal network to a published port', 'i1', `${HOST}:8080`],
      ['an internal network to a published port, through its gateway', 'i1', '10.77.3.1:8080'],
      ['the host by IPv6 loopback (the kernel cannot)', undefined, '[::1]:8080'],
    ]
    for (const [name, from, to] of kept)
      test(`does not reach: ${name}`, () => assert.equal(bed.get(from, `http://${to}/`), ''))
  })
}

test('containers of a network without icc do not reach each other', () => {
  brNetfilter('1')
  assert.equal(bed.get('q2', 'http://10.77.4.2/'), '')
})

test('whom the container sees: the client from outside, the bridge for clients of this host', () => {
  firewall.setPorts('senders', [
    { protocol: 'tcp', hostIp: '', hostPort: 8082, address: '10.77.1.2', containerPort: 81 },
  ])
  assert.equal(bed.get('lan', `http://${HOST}:8082/`), LAN)
  assert.equal(bed.get(undefined, 'http://127.0.0.1:8082/'), '10.77.1.1')
  assert.equal(bed.get('a2', `http://${HOST}:8082/`), '10.77.1.1')
  firewall.removePorts('senders')
  assert.equal(bed.get('lan', `http://${HOST}:8082/`), '')
})

test('a neighbour does not reach loopback through a bridge or the LAN', () => {
  for (const [name, via] of [
    ['lan', HOST],
    ['a2', '10.77.1.1'],
  ] as const) {
    bed.runIn(name, 'ip addr flush dev lo')
    bed.runIn(name, 'sysctl -qw net.ipv4.conf.all.route_localnet=1')
    bed.runIn(name, `ip route add 127.0.0.1/32 via ${via} src ${name === 'lan' ? LAN : '10.77.1.3'}`)
    assert.equal(bed.get(name, 'http://127.0.0.1:8081/'), '', name)
  }
  const [dropped] = [...nft.run(`list chain inet ${firewall.table} loopback`).matchAll(/drop/g)]
  assert.ok(dropped)
})

test('UDP there and back; a client that was sending before finds the new container', async () => {
  const echo = (port: number, words: string): Promise<void> => bed.serveDatagrams('a1', port, words)
  await echo(53, 'one')
  await echo(54, 'two')
  const publish = (containerPort: number): void =>
    firewall.setPorts('udp', [
      { protocol: 'udp', hostIp: '127.0.0.1', hostPort: 5353, address: '10.77.1.2', containerPort },
    ])
  const ask = bed.datagramClient(5353)
  try {
    assert.equal(await ask(300), '', 'nobody there yet')
    publish(53)
    assert.equal(await ask(), 'one')
    publish(54)
    assert.equal(await ask(), 'two')
  } finally {
    ask.close()
    firewall.removePorts('udp')
  }
})

const eventually = async (what: () => boolean, ms = 1000): Promise<void> => {
  const end = Date.now() + ms
  while (!what()) {
    assert.ok(Date.now() < end, `not within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const listing = (): string => {
  try {
    return bed.run(`nft list table inet ${firewall.table}`)
  } catch {
    return ''
  }
}

for (const [name, damage] of [
  ['the table deleted', `delete table inet ${firewall.table}`],
  ['the table flushed', `flush table inet ${firewall.table}`],
  ['everything flushed', 'flush ruleset'],
  ['a chain flushed', `flush chain inet ${firewall.table} publish`],
  ['a map flushed', `flush map inet ${firewall.table} publish4_any`],
  ['one element deleted', `delete element inet ${firewall.table} publish4_any { tcp . 8080 }`],
] as const) {
  test(`comes back within a second: ${name}`, async () => {
    const intact = listing()
    assert.match(intact, /tcp \. 8080 : 10\.77\.1\.2 \. 80/)
    bed.run(`nft ${damage}`)
    assert.notEqual(listing(), intact)
    await eventually(() => listing() === intact)
    assert.equal(bed.get(undefined, 'http://127.0.0.1:8080/'), 'a1')
  })
}

test("others' changes elsewhere, and our own, rebuild nothing", async () => {
  const handle = (): string =>
    /table.*?# handle (\d+)/.exec(bed.run(`nft -a list table inet ${firewall.table}`))?.[1] ?? ''
  const intact = handle()
  bed.run('nft add table inet other')
  bed.run('nft delete table inet other')
  firewall.setPorts('x', [{ ...PORTS[0]!, hostPort: 9090 }])
  firewall.removePorts('x')
  await new Promise((resolve) => setTimeout(resolve, 150))
  assert.equal(handle(), intact)
})

test('a change that meets a damaged table rebuilds it at once', () => {
  bed.run(`nft delete table inet ${firewall.table}`)
  firewall.setPorts('x', [{ ...PORTS[0]!, hostPort: 9090 }])
  assert.equal(bed.get(undefined, 'http://127.0.0.1:9090/'), 'a1')
  assert.equal(bed.get(undefined, 'http://127.0.0.1:8080/'), 'a1')
  firewall.removePorts('x')
})

test('a change that the kernel refuses leaves everything as it was', () => {
  const intact = listing()
  assert.throws(() => firewall.setPorts('thief', [{ ...PORTS[0]!, address: '10.77.2.2' }]))
  assert.equal(listing(), intact)
  firewall.setPorts('x', [{ ...PORTS[0]!, hostPort: 9090 }])
  firewall.removePorts('x')
})

test('a restart finds the table, and replaces it in one piece', () => {
  const next = new Firewall({ engine: 'gtest', log: createLogger('test', 'silent') })
  const before = listing()
  try {
    next.sync({
      networks: ['br-a', 'br-b']
        .map((bridge) => network(bridge))
        .concat(network('br-i', { internal: true }), network('br-q', { icc: false })),
      ports: new Map([['a1', PORTS]]),
    })
    assert.equal(listing(), before)
  } finally {
    next.close()
  }
})

describe('beside iptables whose FORWARD policy is DROP', () => {
  before(() => {
    brNetfilter('1')
    bed.run('iptables -P FORWARD DROP')
    bed.run('ip6tables -P FORWARD DROP')
  })
  after(() => {
    bed.run('iptables -P FORWARD ACCEPT')
    bed.run('ip6tables -P FORWARD ACCEPT')
  })
  const works = (): boolean =>
    bed.get('b1', `http://${HOST}:8080/`) === 'a1' &&
    bed.get('b1', 'http://[fd02::9]/') === 'lan' &&
    bed.get('b1', `http://${LAN}/`) === 'lan'
  const told = (): boolean => bed.run('iptables -S').includes('-A FORWARD -j GANTRY-GTEST')

  test('containers have their traffic, and iptables still reads its table', async () => {
    await eventually(told)
    assert.ok(works())
    assert.match(bed.run('iptables -S GANTRY-GTEST'), /-A GANTRY-GTEST -i br-a -j ACCEPT/)
  })

  test('isolation is as before', () => assert.equal(bed.get('b1', 'http://10.77.1.2/'), ''))

  test('somebody flushes FORWARD', async () => {
    bed.run('iptables -F FORWARD')
    await eventually(told)
    assert.ok(works())
  })

  test('networks come and go', () => {
    firewall.removeNetwork('br-q')
    assert.doesNotMatch(bed.run('iptables -S GANTRY-GTEST'), /br-q/)
    firewall.addNetwork(network('br-q', { icc: false }))
    assert.match(bed.run('iptables -S GANTRY-GTEST'), /br-q/)
  })
})

test('nft takes every golden table', () => {
  const folder = new URL('testdata/', import.meta.url)
  for (const file of readdirSync(folder).filter((name) => name.startsWith('table-'))) {
    nft.run(readFileSync(new URL(file, folder), 'utf8'))
  }
  nft.run('delete table inet gantry')
})
