import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NetworkSpec } from '../../../shared/drivers/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { readConfig } from './config.ts'
import { planParent } from './plan.ts'

const network = (options: Record<string, string>, internal = false): NetworkSpec => ({
  id: 'abcdef0123456789'.repeat(4),
  name: 'lan',
  subnets: [],
  internal,
  ipv6: false,
  options,
})

void describe('macvlan plan', () => {
  void it('takes the parent as it is, a VLAN of it, or one that leads nowhere', () => {
    assert.deepEqual(planParent(network({ parent: 'eth0' })), { kind: 'given', name: 'eth0' })
    assert.deepEqual(planParent(network({ parent: 'eth0.50' })), { kind: 'vlan', name: 'eth0.50', of: 'eth0', id: 50 })
    assert.deepEqual(planParent(network({ parent: 'eth0.5000' })), { kind: 'given', name: 'eth0.5000' })
    assert.deepEqual(planParent(network({}, true)), { kind: 'dummy', name: 'dm-abcdef012345' })
  })

  void it('reads mode and MTU, bridge being the default', () => {
    assert.equal(readConfig(network({})).mode, 'bridge')
    assert.equal(readConfig(network({ macvlan_mode: 'vepa' })).mode, 'vepa')
    assert.equal(readConfig(network({ 'com.docker.network.driver.mtu': '9000' })).mtu, 9000)
  })

  const refused = (options: Record<string, string>, text: RegExp, internal = false): void =>
    void it(`refuses ${JSON.stringify(options)}${internal ? ', internal' : ''}`, () => {
      assert.throws(
        () => readConfig(network(options, internal)),
        (error) => isKind(error, 'invalid') && text.test(error.message),
      )
    })
  refused({ macvlan_mode: 'fast' }, /macvlan_mode: private, vepa, bridge, passthru/)
  refused({ parent: 'lo' }, /option parent: an interface of the host/)
  refused({ parent: 'eth0' }, /internal network has no parent/, true)
  refused({ 'com.docker.network.driver.mtu': '1' }, /68 to 65535/)
  refused({ ipvlan_mode: 'l2' }, /no option "ipvlan_mode"/)
})
