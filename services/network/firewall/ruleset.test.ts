import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { planNetwork, planPorts, planTable, tableName } from './ruleset.ts'
import type { FirewallNetwork, PublishedPort } from './types.ts'

/** Compares with a reviewed file; `GOLDEN=write` writes it anew, for review. */
function golden(name: string, script: string): void {
  const file = new URL(`testdata/${name}.nft`, import.meta.url)
  if (process.env['GOLDEN'] === 'write') writeFileSync(file, script)
  assert.equal(script, readFileSync(file, 'utf8'))
}

const network = (bridge: string, more: Partial<FirewallNetwork> = {}): FirewallNetwork => ({
  id: bridge,
  bridge,
  internal: false,
  icc: true,
  masquerade: ['ipv4', 'ipv6'],
  routed: [],
  unprotected: [],
  ipv6: false,
  ...more,
})

const port = (hostIp: string, hostPort: number, more: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: 'tcp',
  hostIp,
  hostPort,
  address: '10.77.1.2',
  containerPort: 80,
  ...more,
})

const EVERY_KIND = [
  port('0.0.0.0', 8080),
  port('::', 8080, { address: 'fd77:1::2' }),
  port('127.0.0.1', 8081),
  port('fd00::1', 8081, { address: 'fd77:1::2' }),
  port('0.0.0.0', 53, { protocol: 'udp', containerPort: 5353 }),
  port('192.0.2.1', 9899, { protocol: 'sctp', containerPort: 9899 }),
]

const TABLES: Record<string, { networks: FirewallNetwork[]; ports?: PublishedPort[] }> = {
  'table-empty': { networks: [] },
  'table-bridge': { networks: [network('br-a')] },
  'table-bridge-ports': { networks: [network('br-a')], ports: EVERY_KIND },
  'table-no-icc': { networks: [network('br-a', { icc: false })] },
  'table-no-masquerade': { networks: [network('br-a', { masquerade: [] })] },
  'table-routed': {
    networks: [network('br-a', { ipv6: true, masquerade: ['ipv4'], routed: ['ipv6'] })],
    ports: [
      port('0.0.0.0', 8080),
      port('fd77:1::2', 80, { address: 'fd77:1::2' }),
      port('fd77:1::2', 53, { address: 'fd77:1::2', containerPort: 53, protocol: 'udp' }),
    ],
  },
  'table-unprotected': { networks: [network('br-a', { unprotected: ['ipv4'] })] },
  'table-internal': { networks: [network('br-a', { internal: true })] },
  'table-internal-no-icc': { networks: [network('br-a', { internal: true, icc: false })] },
  'table-many': {
    networks: [
      network('br-a'),
      network('br-b', { icc: false, ipv6: true }),
      network('br-c', { internal: true }),
      network('br-d', { masquerade: [] }),
    ],
    ports: [port('0.0.0.0', 80), port('127.0.0.1', 80, { address: '10.77.2.2' })],
  },
}

for (const [name, { networks, ports }] of Object.entries(TABLES)) {
  test(name, () => golden(name, planTable('gantry', { networks, ports: new Map(ports ? [['owner', ports]] : []) })))
}

test('network-add', () => golden('network-add', planNetwork('gantry', undefined, network('br-a'))))
test('network-add-internal', () =>
  golden('network-add-internal', planNetwork('gantry', undefined, network('br-a', { internal: true, icc: false }))))
test('network-change', () =>
  golden('network-change', planNetwork('gantry', network('br-a'), network('br-b', { icc: false, masquerade: [] }))))
test('network-remove', () => golden('network-remove', planNetwork('gantry', network('br-a'), undefined)))
test('ports-add', () => golden('ports-add', planPorts('gantry', [], EVERY_KIND)))
test('ports-remove', () => golden('ports-remove', planPorts('gantry', EVERY_KIND, [])))

test('ports-routed: a port that is the container’s own is opened and closed', () => {
  const [nat, routed] = [port('0.0.0.0', 80), port('10.77.1.2', 80)]
  golden('ports-routed', planPorts('gantry', [nat], [routed]) + planPorts('gantry', [routed], [nat]))
})

test('ports-change: only what differs', () => {
  const moved = EVERY_KIND.slice(1).map((p) => (p.hostIp === '127.0.0.1' ? { ...p, address: '10.77.1.9' } : p))
  golden('ports-change', planPorts('gantry', EVERY_KIND, [...moved, port('0.0.0.0', 9999)]))
})

test('no change is no script', () => {
  assert.equal(planPorts('gantry', EVERY_KIND, EVERY_KIND), '')
  assert.equal(planPorts('gantry', [], []), '')
})

test('a table has the name of the product and of its engine', () => {
  assert.equal(tableName('gantry'), 'gantry')
  assert.equal(tableName('g1a2b3c'), 'gantry-g1a2b3c')
})
