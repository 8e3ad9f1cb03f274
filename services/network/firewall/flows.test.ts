import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../../../shared/kernel/conntrack.ts'
import { indexPorts, isStray } from './flows.ts'
import type { PublishedPort } from './types.ts'

const port = (more: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: 'udp',
  hostIp: '0.0.0.0',
  hostPort: 53,
  address: '10.77.1.2',
  containerPort: 5353,
  ...more,
})
/** `192.0.2.1:53 <- 10.77.1.2:5353`: sent to the first, answered by the second. */
const flow = (text: string, protocol: Flow['protocol'] = 'udp'): Flow => {
  const [to, answers] = text.split(' <- ').map((end) => {
    const at = end.lastIndexOf(':')
    return { address: end.slice(0, at), port: Number(end.slice(at + 1)) }
  })
  assert.ok(to && answers)
  return { protocol, to, answers }
}
const OWN = new Set(['192.0.2.1', '127.0.0.1', 'fd02::1'])
const stray = (f: Flow, gone: PublishedPort[], published: PublishedPort[]): boolean =>
  isStray(f, indexPorts(gone), indexPorts(published), (address) => OWN.has(address))

test('a UDP flow to a published port that leads to the host, or to the former container', () => {
  assert.ok(stray(flow('192.0.2.1:53 <- 192.0.2.1:53'), [], [port()]))
  assert.ok(stray(flow('192.0.2.1:53 <- 10.77.1.9:5353'), [], [port()]))
  assert.ok(stray(flow('127.0.0.1:53 <- 127.0.0.1:53'), [], [port({ hostIp: '127.0.0.1' })]))
  assert.ok(stray(flow('fd02::1:53 <- fd02::1:53'), [], [port({ hostIp: 'fd02:0::1', address: 'fd77:1::2' })]))
})

test("not one that leads where it should, nor to another machine's port of that number", () => {
  assert.ok(!stray(flow('192.0.2.1:53 <- 10.77.1.2:5353'), [], [port()]))
  assert.ok(!stray(flow('8.8.8.8:53 <- 8.8.8.8:53'), [], [port()]), "another container's question to a name server")
  assert.ok(!stray(flow('192.0.2.1:53 <- 192.0.2.1:53'), [], [port({ hostIp: '127.0.0.1' })]), 'published elsewhere')
  assert.ok(!stray(flow('192.0.2.1:53 <- 192.0.2.1:53', 'tcp'), [], [port()]))
  assert.ok(!stray(flow('fd02::1:53 <- fd02::1:53'), [], [port()]), 'published for IPv4')
})

test('one to a port that is the container’s own: forgotten when that is no more, and nobody else’s is', () => {
  const own = port({ hostIp: '10.77.1.2', hostPort: 5353 })
  const there = flow('10.77.1.2:5353 <- 10.77.1.2:5353')
  assert.ok(stray(there, [own], []))
  assert.ok(!stray(there, [], [own]))
  assert.ok(!stray(flow('192.0.2.1:5353 <- 192.0.2.1:5353'), [], [own]), 'the host’s own port of that number')
})

test('one of any protocol that leads to a port which is no more', () => {
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    const gone = [port({ protocol })]
    assert.ok(stray(flow('192.0.2.1:53 <- 10.77.1.2:5353', protocol), gone, []))
    assert.ok(stray(flow('192.0.2.99:53 <- 10.77.1.2:5353', protocol), gone, []), 'an address that the host had')
    assert.ok(!stray(flow('192.0.2.1:53 <- 10.77.1.2:80', protocol), gone, []))
    assert.ok(!stray(flow('10.77.1.2:5353 <- 10.77.1.2:5353', protocol), gone, []), 'straight to the container')
    assert.ok(!stray(flow('192.0.2.1:53 <- 10.77.1.2:5353', protocol), gone, gone), 'published again meanwhile')
  }
  assert.ok(
    stray(
      flow('192.0.2.1:53 <- 10.77.1.2:5353', 'tcp'),
      [port({ protocol: 'tcp' })],
      [port({ protocol: 'tcp', address: '10.77.1.9' })],
    ),
  )
})
