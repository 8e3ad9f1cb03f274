import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EndpointSpec, NetworkSpec } from '../../../shared/drivers/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { checkNetwork, OPTION, readConfig } from './config.ts'
import { hostPrefix, planEndpoint, planNetwork } from './plan.ts'

const network = (more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  id: 'abcdef0123456789'.repeat(4),
  name: 'blue',
  subnets: [{ cidr: '10.1.0.0/16', gateway: '10.1.0.1' }],
  internal: false,
  ipv6: false,
  options: {},
  ...more,
})

const endpoint = (more: Partial<EndpointSpec> = {}): EndpointSpec => ({
  id: '0123456789abcdef'.repeat(4),
  netns: '/run/x',
  interface: 'eth0',
  mac: '02:42:0a:01:00:02',
  addresses: ['10.1.0.2/16'],
  options: {},
  ...more,
})

void describe('bridge plan', () => {
  void it('a bridge is named after its network, with the gateway as its address', () => {
    assert.deepEqual(planNetwork('gantry', network()), {
      bridge: 'br-abcdef012345',
      mac: '02:47:ab:cd:ef:01',
      mtu: undefined,
      addresses: ['10.1.0.1/16'],
      sysctls: [['net/ipv6/conf/br-abcdef012345/disable_ipv6', '1']],
    })
  })

  void it('the default bridge is named after its engine, unless a name is given', () => {
    const options = { [OPTION.defaultBridge]: 'true' }
    assert.equal(planNetwork('g1a2b3c', network({ options })).bridge, 'g1a2b3c0')
    assert.equal(planNetwork('g1a2b3c', network({ options: { ...options, [OPTION.name]: 'my0' } })).bridge, 'my0')
  })

  void it('IPv6 is switched on where there is a subnet, and router advertisements are not believed', () => {
    const plan = planNetwork(
      'gantry',
      network({ ipv6: true, subnets: [...network().subnets, { cidr: 'fd00:1::/64', gateway: 'fd00:1::1' }] }),
    )
    assert.deepEqual(plan.addresses, ['10.1.0.1/16', 'fd00:1::1/64'])
    assert.deepEqual(plan.sysctls, [
      ['net/ipv6/conf/br-abcdef012345/disable_ipv6', '0'],
      ['net/ipv6/conf/br-abcdef012345/accept_ra', '0'],
    ])
  })

  void it('inhibit_ipv4 leaves the bridge without its IPv4 address', () => {
    assert.deepEqual(planNetwork('gantry', network({ options: { [OPTION.inhibitIpv4]: 'true' } })).addresses, [])
  })

  void it('isolated over a family, the host has no address of it there', () => {
    const subnets = [...network().subnets, { cidr: 'fd00:1::/64', gateway: 'fd00:1::1' }]
    const plan = (...families: ('4' | '6')[]) => {
      const options = Object.fromEntries(
        families.map((f) => [f === '4' ? OPTION.gatewayMode4 : OPTION.gatewayMode6, 'isolated']),
      )
      const { addresses, sysctls } = planNetwork('gantry', network({ options, internal: true, ipv6: true, subnets }))
      return [addresses, sysctls[0]?.[1]]
    }
    assert.deepEqual(plan('4'), [['fd00:1::1/64'], '0'])
    assert.deepEqual(plan('4', '6'), [[], '1'])
  })

  void it('a veth has at most 15 letters, and tells its engine', () => {
    for (const engine of ['g', 'gantry', 'g1a2b3c4']) {
      const { hostInterface, hostMac } = planEndpoint(engine, network(), endpoint())
      assert.equal(hostInterface.length, 15)
      assert.ok(hostInterface.startsWith(hostPrefix(engine)))
      assert.equal(hostMac, 'f2:01:23:45:67:89')
    }
    const other = planEndpoint('g1', network(), endpoint()).hostInterface
    assert.ok(!other.startsWith(hostPrefix('g')), 'one engine does not take another for itself')
  })

  void it('MTU, isolation and IPv6 follow the options', () => {
    const options = { [OPTION.mtu]: '1400', [OPTION.icc]: 'false' }
    const plan = planEndpoint('gantry', network({ options }), endpoint({ addresses: ['10.1.0.2/16', 'fd00:1::2/64'] }))
    assert.deepEqual([plan.mtu, plan.apart, plan.ipv6], [1400, true, true])
  })
})

void describe('bridge options', () => {
  const refused = (name: string, value: string, valid: RegExp): void =>
    void it(`refuses ${name}=${value}`, () => {
      assert.throws(
        () => readConfig({ [name]: value }),
        (error) => isKind(error, 'invalid') && error.message.includes(name) && valid.test(error.message),
      )
    })
  refused(OPTION.mtu, '12', /68 to 65535/)
  refused(OPTION.mtu, 'big', /68 to 65535/)
  refused(OPTION.icc, 'maybe', /true or false/)
  refused(OPTION.name, 'a/b', /interface name/)
  refused(OPTION.name, 'much-too-long-for-linux', /15 characters/)
  refused(OPTION.hostBinding, 'localhost', /an IP address/)
  refused(OPTION.gatewayMode4, 'bridged', /one of nat, nat-unprotected, routed, isolated/)
  refused('com.example.unknown', '1', /there are: com\.docker/)

  void it('isolation is for internal networks', () => {
    const options = { [OPTION.gatewayMode6]: 'isolated' }
    checkNetwork(network({ options, internal: true }))
    assert.throws(
      () => checkNetwork(network({ options })),
      (error) =>
        isKind(error, 'invalid') &&
        error.message.includes("gateway mode 'isolated' can only be used for an internal network"),
    )
  })

  void it('has Docker’s defaults', () => {
    assert.deepEqual(readConfig({}), {
      name: '',
      icc: true,
      masquerade: true,
      hostBinding: '',
      gatewayMode: { ipv4: 'nat', ipv6: 'nat' },
      isDefault: false,
      inhibitIpv4: false,
      mtu: undefined,
    })
  })
})
