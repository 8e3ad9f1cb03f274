import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { readSysctl, writeSysctl } from '../../../shared/kernel/sysctl.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { Testbed } from '../../../test/support/network-testbed.ts'
import { Forwarding } from './forwarding.ts'
import { Firewall } from './index.ts'

const bed = new Testbed()
const V4 = 'net.ipv4.ip_forward'
const V6 = 'net.ipv6.conf.all.forwarding'
let file = ''
let count = 0

beforeEach(() => {
  file = bed.path(`forwarding${count++}`)
  writeSysctl(V4, '0')
  writeSysctl(V6, '0')
})
before(() => bed.bridge('br-a', '10.77.1.1/24'))
after(() => bed.close())

test('what this engine switched on is remembered, as long as the machine runs', () => {
  assert.deepEqual(new Forwarding(file).opened, [])
  assert.deepEqual(new Forwarding(file).enable(false), [V4])
  assert.equal(readSysctl(V4), '1')
  assert.equal(readSysctl(V6), '0')
  const again = new Forwarding(file)
  assert.deepEqual(again.opened, ['ipv4'])
  assert.deepEqual(again.enable(true), [V6])
  assert.deepEqual(new Forwarding(file).opened, ['ipv4', 'ipv6'])
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^\S+/, '00000000-0000-0000-0000-000000000000'))
  assert.deepEqual(new Forwarding(file).opened, [], 'the machine was started again')
})

test('what was on before is not', () => {
  writeSysctl(V4, '1')
  const forwarding = new Forwarding(file)
  assert.deepEqual(forwarding.enable(false), [])
  assert.deepEqual(forwarding.opened, [])
})

test('the table closes the host for the families that were switched on, unless the configuration says no', () => {
  const closed = (forwardNoDrop: boolean): string => {
    const firewall = new Firewall({
      engine: 'gtest',
      log: createLogger('test', 'silent'),
      forwardingFile: file,
      forwardNoDrop,
    })
    const network = { id: 'a', bridge: 'br-a', internal: false, icc: true, masquerade: [], routed: [], unprotected: [] }
    const elements = (): string =>
      /elements = \{ (.*) \}/.exec(bed.run(`nft list set inet ${firewall.table} closed`))?.[1] ?? ''
    try {
      firewall.sync({ networks: [], ports: new Map() })
      const first = elements()
      firewall.addNetwork({ ...network, ipv6: true })
      return `${first} | ${elements()}`
    } finally {
      firewall.close()
    }
  }
  assert.equal(closed(true), ' | ')
  writeSysctl(V4, '0')
  writeSysctl(V6, '0')
  file = `${file}.other`
  assert.equal(closed(false), 'ipv4 | ipv4, ipv6')
})
