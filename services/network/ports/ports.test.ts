import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { PortRequest } from '../../../shared/contracts/index.ts'
import { isKind, type ErrorKind } from '../../../shared/errors/index.ts'
import { Store } from '../../../shared/store/index.ts'
import { createLogger } from '../../../shared/log/index.ts'
import type { HostPort, HostPorts } from './host-ports.ts'
import { type Families, HeldPorts, isRelayed, PortAllocator, routedBindings } from './index.ts'

const nameOf = ({ protocol, hostIp, hostPort }: HostPort): string => `${protocol} ${hostIp}:${hostPort}`

/** A host on which only `busy` (`tcp 0.0.0.0:80`) is in use. */
class FakeHost implements HostPorts {
  readonly held = new Set<string>()
  readonly #busy: readonly string[]
  readonly #ipv6: boolean

  constructor(busy: readonly string[] = [], ipv6 = false) {
    this.#busy = busy
    this.#ipv6 = ipv6
  }

  hold(port: HostPort) {
    if (port.hostIp === '203.0.113.9') return 'foreign'
    if (this.#busy.includes(nameOf(port))) return 'taken'
    this.held.add(nameOf(port))
    return 'free'
  }

  drop(port: HostPort): void {
    this.held.delete(nameOf(port))
  }

  relay(): void {
    throw new Error('not in this test')
  }

  close(): void {
    this.held.clear()
  }

  holder = (): string => 'nginx (pid 42)'
  range = () => ({ first: 32768, last: 32770 })
  hasIPv6 = (): boolean => this.#ipv6
}

const newStore = (): Store => new Store(':memory:', PortAllocator.migrations, 'test')
const setUp = (busy?: readonly string[]): PortAllocator => new PortAllocator(newStore(), new FakeHost(busy))
const log = createLogger('test', 'silent')

const tcp = (hostIp: string, hostPort: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  containerPort: 80,
  hostIp,
  hostPort,
  ...more,
})
const V4: Families = { ipv4: 'host port', ipv6: 'none' }
const BOTH: Families = { ipv4: 'host port', ipv6: 'host port' }
const shown = (list: readonly { hostIp: string; hostPort: number }[]): string[] =>
  list.map((b) => `${b.hostIp}:${b.hostPort}`)

const refused =
  (kind: ErrorKind, ...words: string[]) =>
  (error: unknown) =>
    isKind(error, kind) && words.every((word) => (error as Error).message.includes(word))

test('every address: IPv4, and IPv6 when the container has one', () => {
  const ports = setUp()
  assert.deepEqual(shown(ports.reserve('a', 'web', [tcp('', 8080)], V4)), ['0.0.0.0:8080'])
  assert.deepEqual(shown(ports.reserve('b', 'web', [tcp('', 8081)], BOTH)), ['0.0.0.0:8081', ':::8081'])
  assert.deepEqual(ports.of('a'), [{ protocol: 'tcp', containerPort: 80, hostIp: '0.0.0.0', hostPort: 8080 }])
})

test('bindings keep the order of the requests', () => {
  const ports = setUp()
  const requests = [9, 3, 7].map((n) => tcp('', 8000 + n))
  assert.deepEqual(shown(ports.reserve('a', 'web', requests, V4)), ['0.0.0.0:8009', '0.0.0.0:8003', '0.0.0.0:8007'])
  assert.deepEqual(ports.of('a'), ports.reserve('a', 'web', requests, V4), 'asking again gives the same')
})

test('a clash names the container', () => {
  const ports = setUp()
  ports.reserve('a', 'web', [tcp('127.0.0.1', 8080), tcp('', 8081)], BOTH)
  const clash = (request: PortRequest, words: string, families = BOTH): void =>
    assert.throws(() => ports.reserve('b', 'b', [request], families), refused('conflict', words, 'container web'))
  clash(tcp('127.0.0.1', 8080), 'Bind for 127.0.0.1:8080 failed: port is already allocated')
  clash(tcp('', 8080), 'Bind for 0.0.0.0:8080 failed: port is already allocated')
  clash(tcp('10.0.0.1', 8081), 'Bind for 10.0.0.1:8081 failed')
  clash(tcp('fd00::1', 8081), 'Bind for [fd00::1]:8081 failed')
  ports.rename('a', 'renamed')
  assert.throws(() => ports.reserve('b', 'b', [tcp('', 8081)], V4), refused('conflict', 'container renamed'))
})

test('no clash: another protocol, another address, another family, after release', () => {
  const ports = setUp()
  ports.reserve('a', 'web', [tcp('127.0.0.1', 8080)], V4)
  ports.reserve('b', 'b', [tcp('127.0.0.2', 8080), tcp('127.0.0.1', 8080, { protocol: 'udp' }), tcp('::', 8080)], BOTH)
  ports.release('a')
  ports.reserve('c', 'c', [tcp('127.0.0.1', 8080)], V4)
  assert.deepEqual(ports.owners().toSorted(), ['b', 'c'])
  ports.release('nobody')
})

test('one refused port, and none is reserved', () => {
  const ports = setUp()
  ports.reserve('a', 'web', [tcp('', 8082)], V4)
  assert.throws(() => ports.reserve('b', 'b', [tcp('', 8081), tcp('', 8082)], V4), refused('conflict'))
  assert.deepEqual(ports.of('b'), [])
})

test('the same request twice is one; the same port twice is a clash', () => {
  const ports = setUp()
  assert.equal(ports.reserve('a', 'web', [tcp('', 8080), tcp('', 8080)], V4).length, 1)
  assert.throws(
    () => ports.reserve('b', 'b', [tcp('', 81), tcp('', 81, { containerPort: 2 })], V4),
    refused('conflict'),
  )
})

test('a process of the host is in the way', () => {
  const ports = setUp(['tcp 0.0.0.0:80'])
  const said = refused('conflict', '0.0.0.0:80/tcp', 'address already in use', 'nginx (pid 42)')
  assert.throws(() => ports.reserve('a', 'a', [tcp('', 80)], V4), said)
})

test('addresses that cannot be', () => {
  const ports = setUp()
  const said = (request: PortRequest, families: typeof BOTH, ...words: string[]): void =>
    assert.throws(() => ports.reserve('a', 'a', [request], families), refused('invalid', ...words))
  said(tcp('203.0.113.9', 80), V4, 'cannot assign requested address')
  said(tcp('nonsense', 80), V4, 'invalid host address nonsense')
  said(tcp('::ffff:10.0.0.1', 80), V4, 'invalid host address')
  said(tcp('fd00::1', 80, { protocol: 'udp' }), V4, 'no IPv6 address', 'only TCP is relayed')
  said(tcp('fe80::1', 80), BOTH, 'link-local address', '[::]')
  said(tcp('::1', 80, { protocol: 'sctp' }), BOTH, '127.0.0.1 instead')
  said(tcp('10.0.0.1', 80), { ipv4: 'none', ipv6: 'host port' }, 'no IPv4 address')
  said(tcp('', 80), { ipv4: 'none', ipv6: 'none' }, 'no address')
})

test('a range gives its first free port', () => {
  const ports = setUp(['tcp 0.0.0.0:8081'])
  const range = tcp('', 8080, { hostPortEnd: 8082 })
  assert.deepEqual(shown(ports.reserve('a', 'a', [range], V4)), ['0.0.0.0:8080'])
  assert.deepEqual(shown(ports.reserve('b', 'b', [range], V4)), ['0.0.0.0:8082'])
  assert.throws(() => ports.reserve('c', 'c', [range], V4), refused('conflict', '8080-8082', 'all ports are allocated'))
})

test('random ports are from the kernel range, all different, the same for both families', () => {
  const ports = setUp(['tcp :::32769'])
  const got = ['a', 'b'].flatMap((owner) => ports.reserve(owner, owner, [tcp('', 0)], BOTH))
  assert.deepEqual(
    got.map((b) => b.hostPort).toSorted((x, y) => x - y),
    [32768, 32768, 32770, 32770],
  )
  assert.throws(() => ports.reserve('c', 'c', [tcp('', 0)], BOTH), refused('conflict', 'all ports are allocated'))
})

test('reservations outlive a restart', () => {
  const store = newStore()
  new PortAllocator(store, new FakeHost()).reserve('a', 'web', [tcp('', 8080)], V4)
  const again = new PortAllocator(store, new FakeHost())
  assert.throws(() => again.reserve('b', 'b', [tcp('', 8080)], V4), refused('conflict', 'container web'))
})

test('a real listener is found, TCP and UDP, and by which process', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const datagrams = createSocket('udp4')
  await new Promise<void>((resolve) => datagrams.bind(0, '127.0.0.1', resolve))
  const held = new HeldPorts(log)
  const ports = new PortAllocator(newStore(), held)
  const me = `(pid ${process.pid})`
  try {
    const { port } = server.address() as AddressInfo
    assert.throws(() => ports.reserve('a', 'a', [tcp('', port)], V4), refused('conflict', 'address already in use', me))
    assert.throws(
      () => ports.reserve('a', 'a', [tcp('127.0.0.1', datagrams.address().port, { protocol: 'udp' })], V4),
      refused('conflict', 'address already in use', me),
    )
    assert.equal(ports.reserve('b', 'b', [tcp('127.0.0.1', 0, { protocol: 'sctp' })], V4).length, 1)
  } finally {
    held.close()
    server.close()
    datagrams.close()
  }
})

test('a host with IPv6 has TCP on it for containers without', () => {
  const ports = new PortAllocator(newStore(), new FakeHost([], true))
  assert.deepEqual(shown(ports.reserve('a', 'a', [tcp('', 8080)], V4)), ['0.0.0.0:8080', ':::8080'])
  assert.deepEqual(shown(ports.reserve('b', 'b', [tcp('', 53, { protocol: 'udp' })], V4)), ['0.0.0.0:53'])
  const explicit = [tcp('::1', 81), tcp('0:0:0:0:0:0:0:0', 82), tcp('0.0.0.0', 83)]
  assert.deepEqual(shown(ports.reserve('c', 'c', explicit, V4)), ['::1:81', ':::82', '0.0.0.0:83'])
  const relayed = (hostIp: string, families: typeof V4, protocol = 'tcp'): boolean =>
    isRelayed({ hostIp, protocol }, families)
  assert.deepEqual([relayed('::', V4), relayed('fd00::1', V4), relayed('::1', BOTH)], [true, true, true])
  assert.deepEqual([relayed('::', BOTH), relayed('0.0.0.0', V4), relayed('::', V4, 'udp')], [false, false, false])
})

test('other families: what is right stays, the rest comes and goes', () => {
  const host = new FakeHost()
  const ports = new PortAllocator(newStore(), host)
  const requests = [tcp('', 0), tcp('', 8080), tcp('', 9000, { hostPortEnd: 9001 })]
  const before = ports.reserve('a', 'a', requests, V4)
  const both = ports.reserve('a', 'a', requests, BOTH)
  assert.deepEqual(
    both,
    before.flatMap((b) => [b, { ...b, hostIp: '::' }]),
    'the same ports on IPv6',
  )
  assert.deepEqual(ports.reserve('a', 'a', requests, V4), before)
  assert.deepEqual(ports.reserve('a', 'a', [], V4), [])
  assert.deepEqual([...host.held], [])
})

test('a port of no particular number that is busy on a further address is another one there, and stays on the first', () => {
  for (const [request, first, second] of [
    [tcp('', 0), '0.0.0.0:32768', ':::32770'],
    [tcp('', 8080, { hostPortEnd: 8082 }), '0.0.0.0:8080', ':::8082'],
  ] as const) {
    const host = new FakeHost(['tcp :::32768', 'tcp :::32769', 'tcp :::8080', 'tcp :::8081'])
    const ports = new PortAllocator(newStore(), host)
    ports.reserve('x', 'x', [tcp('', 32769), tcp('', 32770)], V4)
    assert.deepEqual(shown(ports.reserve('a', 'a', [request], V4)), [first])
    assert.deepEqual(shown(ports.reserve('a', 'a', [request], BOTH)), [first, second])
    assert.deepEqual(shown(ports.reserve('a', 'a', [request], BOTH)), [first, second], 'and so they stay')
  }
})

test('a family that is routed needs no port of the host', () => {
  const ports = new PortAllocator(newStore(), new FakeHost([], true))
  const [routed6, routed4, routed]: Families[] = [
    { ipv4: 'host port', ipv6: 'routed' },
    { ipv4: 'routed', ipv6: 'none' },
    { ipv4: 'routed', ipv6: 'routed' },
  ]
  const requests = [tcp('', 8080), tcp('', 8081), tcp('10.0.0.1', 8082, { containerPort: 81 }), tcp('::1', 8083)]
  const both = (families: Families | undefined): string[][] => {
    assert.ok(families)
    return [ports.reserve('a', 'a', requests, families), routedBindings(requests, families)].map((list) =>
      list.map((b) => `${b.hostIp}:${b.hostPort}:${b.containerPort}`),
    )
  }
  assert.deepEqual(both(routed6), [['0.0.0.0:8080:80', '0.0.0.0:8081:80', '10.0.0.1:8082:81'], [':::0:80']])
  assert.deepEqual(both(routed), [[], ['0.0.0.0:0:80', ':::0:80', '0.0.0.0:0:81']])
  assert.throws(() => both(routed4), refused('invalid', '::1', 'no IPv6 address'))
})

test('a port moves to another address of the host, and keeps its number', () => {
  const host = new FakeHost()
  const ports = new PortAllocator(newStore(), host)
  const [any] = ports.reserve('a', 'a', [tcp('', 0)], V4)
  const [moved] = ports.reserve('a', 'a', [tcp('127.0.0.1', 0)], V4)
  assert.deepEqual(moved, { ...any, hostIp: '127.0.0.1' })
  assert.deepEqual([...host.held], [`tcp 127.0.0.1:${any?.hostPort}`])
})

test('a change that fails leaves everything as it was', () => {
  const host = new FakeHost(['tcp :::8081'])
  const ports = new PortAllocator(newStore(), host)
  const requests = [tcp('', 8080), tcp('', 8081)]
  const before = ports.reserve('a', 'a', requests, V4)
  const held = [...host.held]
  assert.throws(() => ports.reserve('a', 'a', requests, BOTH), refused('conflict', '[::]:8081', 'nginx (pid 42)'))
  assert.deepEqual(ports.of('a'), before)
  assert.deepEqual([...host.held], held)
})

test('what is refused can be left out', () => {
  const host = new FakeHost(['tcp :::8081'])
  const ports = new PortAllocator(newStore(), host)
  const said: string[] = []
  const got = ports.reserve('a', 'a', [tcp('nonsense', 1), tcp('', 8081), tcp('', 8082)], BOTH, (e) =>
    said.push(e.kind),
  )
  assert.deepEqual(shown(got), ['0.0.0.0:8082', ':::8082'])
  assert.deepEqual(said, ['invalid', 'conflict'])
  assert.deepEqual([...host.held], ['tcp 0.0.0.0:8082', 'tcp :::8082'])
})

test('reserved ports are kept again after a restart, and a clash names the process', () => {
  const store = newStore()
  new PortAllocator(store, new FakeHost()).reserve('a', 'a', [tcp('', 8080), tcp('', 8081)], V4)
  const host = new FakeHost(['tcp 0.0.0.0:8080'])
  const [clash, ...more] = new PortAllocator(store, host).reopen()
  assert.match(clash ?? '', /^0\.0\.0\.0:8080\/tcp .*nginx \(pid 42\)/)
  assert.deepEqual(more, [])
  assert.deepEqual([...host.held], ['tcp 0.0.0.0:8081'])
})
