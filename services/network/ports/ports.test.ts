import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { PortRequest } from '../../../shared/contracts/index.ts'
import { isKind, type ErrorKind } from '../../../shared/errors/index.ts'
import { Store } from '../../../shared/store/index.ts'
import type { HostPorts } from './allocator.ts'
import { PortAllocator } from './index.ts'

/** A host on which only `busy` (`tcp 0.0.0.0:80`) is in use. */
const fakeHost = (busy: readonly string[] = []): HostPorts => ({
  probe: (protocol, address, port) =>
    address === '203.0.113.9' ? 'foreign' : busy.includes(`${protocol} ${address}:${port}`) ? 'taken' : 'free',
  holder: () => 'nginx (pid 42)',
  range: () => ({ first: 32768, last: 32770 }),
})

const newStore = (): Store => new Store(':memory:', PortAllocator.migrations, 'test')
const setUp = (busy?: readonly string[]): PortAllocator => new PortAllocator(newStore(), fakeHost(busy))

const tcp = (hostIp: string, hostPort: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  containerPort: 80,
  hostIp,
  hostPort,
  ...more,
})
const V4 = { ipv4: true, ipv6: false }
const BOTH = { ipv4: true, ipv6: true }
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
  said(tcp('fd00::1', 80), V4, 'no IPv6 address')
  said(tcp('::1', 80), BOTH, '127.0.0.1 instead')
  said(tcp('', 80), { ipv4: false, ipv6: false }, 'no address')
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
  new PortAllocator(store, fakeHost()).reserve('a', 'web', [tcp('', 8080)], V4)
  const again = new PortAllocator(store, fakeHost())
  assert.throws(() => again.reserve('b', 'b', [tcp('', 8080)], V4), refused('conflict', 'container web'))
})

test('a real listener is found, TCP and UDP, and by which process', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const datagrams = createSocket('udp4')
  await new Promise<void>((resolve) => datagrams.bind(0, '127.0.0.1', resolve))
  const ports = new PortAllocator(newStore())
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
    server.close()
    datagrams.close()
  }
})
