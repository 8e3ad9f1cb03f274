import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ErrorKind, isKind } from '../../shared/errors/index.ts'
import { readNetworkRequest } from './network-request.ts'

void describe('NetworkCreateRequest', () => {
  void it('is filled in with defaults', () => {
    assert.deepEqual(readNetworkRequest({ Name: ' blue ', CheckDuplicate: true, IPAM: null, Options: null }), {
      name: 'blue',
      driver: '',
      internal: false,
      attachable: false,
      ipv4: true,
      ipv6: false,
      options: {},
      labels: {},
      ipamOptions: {},
      pools: [{ v6: false }],
      configOnly: false,
    })
  })

  void it('gives each family that is on a pool, wishes first', () => {
    const pools = (spec: object) => readNetworkRequest({ Name: 'x', ...spec }).pools
    assert.deepEqual(pools({ EnableIPv6: true }), [{ v6: false }, { v6: true }])
    assert.deepEqual(pools({ EnableIPv4: false, EnableIPv6: true }), [{ v6: true }])
    const config = { Subnet: 'fd00::/64', Gateway: 'fd00::1', AuxiliaryAddresses: { a: 'fd00::2' } }
    assert.deepEqual(pools({ EnableIPv6: true, IPAM: { Config: [config] } }), [
      { v6: false },
      { subnet: 'fd00::/64', gateway: 'fd00::1', aux: { a: 'fd00::2' }, v6: true },
    ])
    assert.deepEqual(pools({ IPAM: { Driver: 'default', Config: [{}] } }), [{ v6: false }])
  })

  void it('keeps notes among the options of IPAM', () => {
    assert.deepEqual(readNetworkRequest({ Name: 'x', IPAM: { Options: { team: 'net' } } }).ipamOptions, { team: 'net' })
  })

  void it('takes the families from options too, where the members are not there', () => {
    const families = (spec: object) => {
      const { ipv4, ipv6 } = readNetworkRequest({ Name: 'x', ...spec })
      return [ipv4, ipv6]
    }
    const Options = { 'com.docker.network.enable_ipv4': 'false', 'com.docker.network.enable_ipv6': '1' }
    assert.deepEqual(families({ Options }), [false, true])
    assert.deepEqual(families({ EnableIPv4: true, EnableIPv6: false, Options }), [true, false])
  })

  const refused = (spec: object, kind: ErrorKind, text: RegExp): void =>
    void it(`refuses ${JSON.stringify(spec)}`, () => {
      assert.throws(
        () => readNetworkRequest({ Name: 'x', ...spec }),
        (error) => isKind(error, kind) && text.test(error.message),
      )
    })
  refused({ Name: '' }, 'invalid', /name is empty/)
  refused({ Name: 'a/b' }, 'invalid', /invalid network name "a\/b"/)
  refused({ Name: 'host' }, 'forbidden', /predefined host network/)
  refused({ Options: { 'com.docker.network.enable_ipv6': 'yes' } }, 'invalid', /"yes" for option .*: true or false/)
  refused({ Name: 7 }, 'invalid', /Name/)
  refused({ Labels: { a: 1 } }, 'invalid', /Labels\.a/)
  refused({ IPAM: { Config: [{ Subnet: 1 }] } }, 'invalid', /IPAM\.Config\.0\.Subnet/)
  refused({ IPAM: { Driver: 'mine' } }, 'invalid', /IPAM driver "mine" not found/)
  refused({ IPAM: { Options: { 'com.docker.network.a': 'b' } } }, 'invalid', /no option "com\.docker\.network\.a"/)
  refused({ IPAM: { Config: [{ Subnet: 'fd00::/64' }] } }, 'invalid', /fd00::\/64 is IPv6.*EnableIPv6/)
  refused({ EnableIPv4: false }, 'invalid', /IPv4 or IPv6 must be enabled/)
  refused({ Scope: 'swarm' }, 'invalid', /scope "swarm"/)
  refused({ Ingress: true }, 'not-implemented', /Ingress/)
  for (const more of [{ Internal: true }, { Attachable: true }, { Scope: 'local' }, { ConfigFrom: { Network: 'y' } }])
    refused({ ConfigOnly: true, ...more }, 'invalid', /can only contain network specific fields/)
  for (const more of [{ Options: { a: 'b' } }, { IPAM: { Config: [{ Subnet: '10.0.0.0/24' }] } }, { EnableIPv6: true }])
    refused({ ConfigFrom: { Network: 'y' }, ...more }, 'invalid', /depends on a configuration network/)
})
