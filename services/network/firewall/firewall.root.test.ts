import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, describe, mock, test } from 'node:test'
import { Nft } from '../../../shared/kernel/nft.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { SENDER, Testbed } from '../../../test/support/network-testbed.ts'
import { Firewall, type FirewallModel, type FirewallNetwork, type PublishedPort } from './index.ts'
import { planTable } from './ruleset.ts'
import { readGeneration } from './watch.ts'

/** A host with networks a (two containers), b, i (internal) and q (containers kept apart), and a machine on its LAN. */
const bed = new Testbed()
const nft = new Nft()
const makeFirewall = (): Firewall =>
  new Firewall({ engine: 'gtest', log: createLogger('test', 'silent'), forwardingFile: bed.path('forwarding') })
const firewall = makeFirewall()
const LAN = '192.0.2.9'
const HOST = '192.0.2.1'
/** A machine on another network of the host. */
const WAN = '192.0.3.9'

const network = (bridge: string, more: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  id: bridge,
  bridge,
  internal: false,
  icc: true,
  masquerade: ['ipv4', 'ipv6'],
  routed: [],
  unprotected: [],
  ipv6: true,
  ...more,
})

const PORTS: PublishedPort[] = [
  { protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080, address: '10.77.1.2', containerPort: 80 },
  { protocol: 'tcp', hostIp: '::', hostPort: 8080, address: 'fd77:1::2', containerPort: 80 },
  { protocol: 'tcp', hostIp: '127.0.0.1', hostPort: 8081, address: '10.77.1.2', containerPort: 80 },
]

const MODEL: FirewallModel = {
  networks: [network('br-a'), network('br-b'), network('br-i', { internal: true }), network('br-q', { icc: false })],
  ports: new Map([['a1', PORTS]]),
}

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
  bed.machine('wan', { addresses: ['192.0.3.1/24', 'fd03::1/64'] }, [`${WAN}/24`, 'fd03::9/64'])
  bed.runIn('wan', 'ip route add default via 192.0.3.1')
  bed.runIn('wan', 'ip -6 route add default via fd03::1')
  bed.runIn('lan', `ip route add 192.0.3.0/24 via ${HOST}`)
  bed.runIn('lan', 'ip -6 route add fd03::/64 via fd02::1')
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
  for (const name of ['a1', 'b1', 'i1', 'q1', 'lan', 'wan']) await bed.serve(name, 80, name)
  await bed.serve('a1', 81, SENDER)
  firewall.sync({ ...MODEL, networks: MODEL.networks.slice(0, 1) })
  for (const network of MODEL.networks.slice(1)) firewall.addNetwork(network)
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
      ['LAN to another network of a host that was a router before', 'lan', WAN, 'wan'],
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
    { protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8082, address: '10.77.1.2', containerPort: 81 },
  ])
  assert.equal(bed.get('lan', `http://${HOST}:8082/`), LAN)
  assert.equal(bed.get(undefined, 'http://127.0.0.1:8082/'), '10.77.1.1')
  assert.equal(bed.get('a2', `http://${HOST}:8082/`), '10.77.1.1')
  firewall.removePorts('senders')
  assert.equal(bed.get('lan', `http://${HOST}:8082/`), '')
})

test('a neighbour does not reach loopback through a bridge or the LAN, and would without the rule', () => {
  bed.run('sysctl -qw net.ipv4.conf.v-lan.route_localnet=1')
  for (const [name, via] of [
    ['lan', HOST],
    ['a2', '10.77.1.1'],
  ] as const) {
    bed.runIn(name, 'ip addr flush dev lo')
    bed.runIn(name, 'sysctl -qw net.ipv4.conf.all.route_localnet=1')
    bed.runIn(name, `ip route add 127.0.0.1/32 via ${via} src ${name === 'lan' ? LAN : '10.77.1.3'}`)
    assert.equal(bed.get(name, 'http://127.0.0.1:8081/'), '', name)
    // All of this is synchronous: the repair comes when the test is over.
    bed.run(`nft flush chain inet ${firewall.table} loopback`)
    assert.equal(bed.get(name, 'http://127.0.0.1:8081/'), 'a1', `${name}, without the rule`)
    firewall.sync(MODEL)
    assert.equal(bed.get(name, 'http://127.0.0.1:8081/'), '', `${name}, with the rule again`)
  }
})

test('UDP there and back; a client that was sending before finds the new container', async () => {
  const echo = (port: number, words: string): Promise<void> => bed.serveDatagrams('a1', port, words)
  await echo(53, 'one')
  await echo(54, 'two')
  const publish = (containerPort: number): Promise<void> => {
    firewall.setPorts('udp', [
      { protocol: 'udp', hostIp: '127.0.0.1', hostPort: 5353, address: '10.77.1.2', containerPort },
    ])
    return firewall.settled()
  }
  const ask = bed.datagramClient(5353)
  try {
    assert.equal(await ask(300), '', 'nobody there yet')
    await publish(53)
    assert.equal(await ask(), 'one')
    await publish(54)
    assert.equal(await ask(), 'two')
  } finally {
    ask.close()
    firewall.removePorts('udp')
  }
})

test('a host that forwards because of us is no router between its uplinks, and all else passes', () => {
  // The devices of this test are of kind veth: one that, like a bridge, may be anybody's.
  const table = planTable(firewall.table, MODEL, ['ipv4', 'ipv6'])
  const state = (): string[] =>
    [`${WAN}`, '[fd03::9]', `${HOST}:8080`, '[fd02::1]:8080'].map((to) => bed.get('lan', `http://${to}/`))
  const outwards = (): string[] => [bed.get('b1', `http://${WAN}/`), bed.get('b1', 'http://[fd02::9]/')]
  try {
    nft.run(table)
    assert.deepEqual(state(), ['wan', 'wan', 'a1', 'a1'])
    nft.run(table.replaceAll('"vlan"', '"veth"'))
    assert.deepEqual(state(), ['', '', 'a1', 'a1'], 'as uplinks')
    assert.deepEqual(outwards(), ['wan', 'lan'])
    // A device without a kind is an uplink too: the match on its kind fails. There is none here but loopback.
    nft.run('add table inet kind; add chain inet kind out { type filter hook output priority 0; }')
    nft.run(
      'add rule inet kind out oifname "lo" counter; add rule inet kind out oifname "lo" meta oifkind != "x" counter',
    )
    assert.equal(bed.get(undefined, 'http://127.0.0.1:9/'), '')
    const [all, matched] = [...nft.run('list chain inet kind out').matchAll(/packets (\d+)/g)].map((m) => Number(m[1]))
    assert.ok((all ?? 0) > 0)
    assert.equal(matched, 0)
  } finally {
    nft.run('add table inet kind; delete table inet kind')
    firewall.sync(MODEL)
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

/** Done by another process, in one transaction. */
const nftScript = (script: string): void => {
  execFileSync('nft', ['-f', '-'], { input: script, stdio: ['pipe', 'pipe', 'pipe'] })
}

test('comes back within a second: one rule deleted', async () => {
  const intact = listing()
  const handle = /ct status dnat accept # handle (\d+)/.exec(
    bed.run(`nft -a list chain inet ${firewall.table} inwards`),
  )?.[1]
  bed.run(`nft delete rule inet ${firewall.table} inwards handle ${handle}`)
  assert.notEqual(listing(), intact)
  await eventually(() => listing() === intact)
})

for (const [name, damage] of [
  ['the table deleted', `delete table inet ${firewall.table}`],
  ['the table flushed', `flush table inet ${firewall.table}`],
  ['everything flushed', 'flush ruleset'],
  ['a chain flushed', `flush chain inet ${firewall.table} publish`],
  ['a map flushed', `flush map inet ${firewall.table} publish4_any`],
  ['a chain deleted', `flush chain inet ${firewall.table} loopback; delete chain inet ${firewall.table} loopback`],
  ['a rule added', `insert rule inet ${firewall.table} inwards accept`],
  ['a chain added', `add chain inet ${firewall.table} other`],
  ['an element added', `add element inet ${firewall.table} bridges { "eth9" }`],
  ['an element replaced', `delete element inet ${firewall.table} icc { "br-a" . "br-a" }`],
  ['one element deleted', `delete element inet ${firewall.table} publish4_any { tcp . 8080 }`],
] as const) {
  test(`comes back within a second: ${name}`, async () => {
    const intact = listing()
    assert.match(intact, /tcp \. 8080 : 10\.77\.1\.2 \. 80/)
    nftScript(damage)
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

test('an established connection goes on through a rebuild', async () => {
  const intact = listing()
  const socket = connect(8080, HOST)
  try {
    await once(socket, 'connect')
    bed.run(`nft flush table inet ${firewall.table}`)
    await eventually(() => listing() === intact)
    socket.write('GET / HTTP/1.0\r\n\r\n')
    const [data] = (await once(socket, 'data', { signal: AbortSignal.timeout(2000) })) as [Buffer]
    assert.match(data.toString(), /^HTTP\/1\.1 200/)
  } finally {
    socket.destroy()
  }
})

test('somebody who changes the rules all the time is repaired after, but not at every turn', async () => {
  const other = spawn('sh', [
    '-c',
    `while [ ! -e ${bed.path('stop')} ]; do nft add element inet ${firewall.table} bridges '{ "eth9" }'; iptables -A FORWARD -j LOG; sleep 0.01; done`,
  ])
  const begin = readGeneration().id
  const run = mock.method(Nft.prototype, 'run')
  try {
    await new Promise((resolve) => setTimeout(resolve, 2000))
  } finally {
    run.mock.restore()
    writeFileSync(bed.path('stop'), '')
    await once(other, 'exit')
    bed.run('iptables -F FORWARD')
  }
  assert.ok(readGeneration().id - begin > 40, 'the other was busy')
  const own = run.mock.calls.filter(({ arguments: [script] }) => script.includes('delete table')).length
  assert.ok(own >= 2 && own <= 5, `${own} rebuilds in 2 s`)
  await eventually(() => !listing().includes('eth9'), 1500)
})

test('a rebuild whose own notifications are more than the socket holds is not repeated', async () => {
  const many = Array.from({ length: 60_000 }, (_, i) => ({
    ...PORTS[0]!,
    protocol: i % 2 === 0 ? ('tcp' as const) : ('udp' as const),
    hostPort: 1024 + (i >> 1),
    hostIp: HOST,
  }))
  try {
    firewall.sync({ ...MODEL, ports: new Map([...MODEL.ports, ['many', many]]) })
    const quiet = async (): Promise<boolean> => {
      const generation = readGeneration().id
      await new Promise((resolve) => setTimeout(resolve, 1500))
      return readGeneration().id === generation
    }
    // A repair that was due before may come first.
    assert.ok((await quiet()) || (await quiet()))
  } finally {
    firewall.sync(MODEL)
  }
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
  const next = makeFirewall()
  const before = listing()
  try {
    next.sync(MODEL)
    assert.equal(listing(), before)
  } finally {
    next.close()
  }
})

const DROPPING: [string, (iptables: string) => string, (iptables: string) => string][] = [
  ['policy is DROP', (iptables) => `${iptables} -P FORWARD DROP`, (iptables) => `${iptables} -P FORWARD ACCEPT`],
  [
    'last rule is REJECT',
    (iptables) => `${iptables} -A FORWARD -j REJECT`,
    (iptables) => `${iptables} -D FORWARD -j REJECT`,
  ],
  [
    'rules lead to a chain that drops',
    (iptables) => `${iptables} -A FORWARD -j USER`,
    (iptables) => `${iptables} -D FORWARD -j USER`,
  ],
]
for (const [what, drop, undo] of DROPPING) {
  describe(`beside iptables whose FORWARD ${what}`, () => {
    const works = (): boolean =>
      bed.get('b1', `http://${HOST}:8080/`) === 'a1' &&
      bed.get('b1', 'http://[fd02::9]/') === 'lan' &&
      bed.get('b1', `http://${LAN}/`) === 'lan'
    const told = (): boolean => bed.run('iptables -S').split('-A FORWARD -j GANTRY-GTEST').length === 2
    const setUp = (): void => {
      for (const iptables of ['iptables', 'ip6tables']) bed.run(drop(iptables))
    }

    before(() => {
      brNetfilter('1')
      for (const iptables of ['iptables', 'ip6tables']) {
        bed.run(`${iptables} -N USER`)
        bed.run(`${iptables} -A USER -j DROP`)
      }
      setUp()
      assert.ok(!told(), 'it is not told yet')
      assert.ok(!works(), 'nothing passes until it is told')
    })
    after(() => {
      for (const iptables of ['iptables', 'ip6tables']) {
        bed.run(undo(iptables))
        for (const command of ['-F FORWARD', '-F USER', '-X USER', '-F GANTRY-GTEST', '-X GANTRY-GTEST'])
          bed.run(`${iptables} ${command}`)
      }
    })

    test('containers have their traffic, and iptables still reads its table', async () => {
      await eventually(told)
      assert.ok(works())
      assert.match(bed.run('iptables -S GANTRY-GTEST'), /-A GANTRY-GTEST -i br-a -j ACCEPT/)
    })

    test('what is not ours is dropped as before', () => {
      assert.equal(bed.get('b1', 'http://10.77.1.2/'), '')
      assert.equal(bed.get('lan', `http://${WAN}/`), '')
    })

    test('somebody flushes FORWARD, and makes it anew', async () => {
      for (const iptables of ['iptables', 'ip6tables']) bed.run(`${iptables} -F FORWARD`)
      if (what !== 'policy is DROP') setUp()
      await eventually(() => told() && works(), 2000)
    })

    test('networks come and go; rules of the others stay as they are', () => {
      const rules = (): string[] => bed.run('nft -a list chain ip filter GANTRY-GTEST').match(/"br-[abi]".*/g) ?? []
      const before = rules().map((rule) => rule.replace(/packets \d+ bytes \d+/, ''))
      firewall.removeNetwork('br-q')
      assert.doesNotMatch(bed.run('iptables -S GANTRY-GTEST'), /br-q/)
      firewall.addNetwork(network('br-q', { icc: false }))
      assert.match(bed.run('iptables -S GANTRY-GTEST'), /br-q/)
      assert.equal(before.length, 6)
      assert.deepEqual(
        rules().map((rule) => rule.replace(/packets \d+ bytes \d+/, '')),
        before,
      )
    })
  })
}

test('nft takes every golden table', () => {
  const folder = new URL('testdata/', import.meta.url)
  for (const file of readdirSync(folder).filter((name) => name.startsWith('table-'))) {
    nft.run(readFileSync(new URL(file, folder), 'utf8'))
  }
  nft.run('delete table inet gantry')
})
