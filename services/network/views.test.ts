import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../shared/errors/index.ts'
import { chooseDefaultRoute, type Placed } from './gateway.ts'
import { Names } from './names.ts'
import { filterNetworks, networkView } from './network-view.ts'
import type { EndpointRecord, NetworkRecord, SandboxRecord } from './records.ts'
import { planSysctls } from './sysctls.ts'

const network = (name: string, more: Partial<NetworkRecord> = {}): NetworkRecord => ({
  id: `${name}-id`,
  name,
  driver: 'bridge',
  internal: false,
  attachable: false,
  ipv4: true,
  ipv6: false,
  options: {},
  labels: {},
  ipamOptions: {},
  pools: [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1', aux: {}, v6: false }],
  state: undefined,
  phase: 'ready',
  predefined: false,
  created: '2026-01-01T00:00:00.000Z',
  ...more,
})

const sandbox = (name: string, more: Partial<SandboxRecord['request']> = {}): SandboxRecord => ({
  id: name.repeat(20).slice(0, 64),
  name,
  mode: 'private',
  root: name,
  phase: 'ready',
  request: {
    id: name,
    name,
    mode: { kind: 'private' },
    endpoints: [],
    ports: [],
    hostname: '',
    domainname: '',
    dns: [],
    dnsOptions: [],
    dnsSearch: [],
    extraHosts: [],
    sysctls: {},
    labels: {},
    ...more,
  },
})

const placed = (
  on: NetworkRecord,
  owner: SandboxRecord,
  ipv4: string,
  request: Partial<EndpointRecord['request']> = {},
): Placed => ({
  network: on,
  endpoint: {
    id: `${owner.id}-${on.id}`,
    sandbox: owner.id,
    network: on.id,
    interface: 'eth0',
    mac: '02:42:00:00:00:02',
    ipv4,
    ipv6: '',
    request: { network: on.name, aliases: [], links: [], ...request },
    state: undefined,
    hostInterface: '',
    phase: 'ready',
    position: 0,
  },
})

void describe('default route', () => {
  const me = sandbox('me')
  const [a, b, inner] = [network('a'), network('b'), network('inner', { internal: true })]

  void it('goes through the highest priority, then the first name, never through an internal network', () => {
    const choose = (...endpoints: Placed[]) => chooseDefaultRoute(endpoints, false)?.placed.network.name
    assert.equal(choose(placed(b, me, '10.0.0.2'), placed(a, me, '10.0.0.3')), 'a')
    assert.equal(choose(placed(b, me, '10.0.0.2', { gatewayPriority: 1 }), placed(a, me, '10.0.0.3')), 'b')
    assert.equal(choose(placed(inner, me, '10.0.0.2', { gatewayPriority: 9 }), placed(a, me, '10.0.0.3')), 'a')
    assert.equal(choose(placed(inner, me, '10.0.0.2')), undefined)
    assert.equal(chooseDefaultRoute([placed(a, me, '10.0.0.2')], true), undefined)
  })
})

void describe('names', () => {
  const [red, blue] = [network('red'), network('blue')]
  const web = sandbox('web', { hostname: 'host1' })
  const db = sandbox('db')

  void it('are seen on their network alone; shared aliases have several addresses', () => {
    const names = new Names()
    const other = sandbox('other')
    names.set(web, [placed(red, web, '10.0.0.2', { aliases: ['App'] })])
    names.set(other, [placed(red, other, '10.0.0.3', { aliases: ['app'] })])
    names.set(db, [placed(blue, db, '10.1.0.2')])
    assert.deepEqual(names.lookup(other.id, 'web'), { v4: ['10.0.0.2'], v6: [] })
    assert.deepEqual(names.lookup(other.id, 'host1')?.v4, ['10.0.0.2'])
    assert.deepEqual(names.lookup(other.id, 'web.red')?.v4, ['10.0.0.2'])
    assert.deepEqual(names.lookup(other.id, web.id.slice(0, 12))?.v4, ['10.0.0.2'])
    assert.deepEqual(names.lookup(web.id, 'app')?.v4, ['10.0.0.2', '10.0.0.3'])
    assert.equal(names.lookup(db.id, 'web'), undefined)
    assert.equal(names.lookup('stranger', 'web'), undefined)
    assert.equal(names.reverse(other.id, '10.0.0.2'), 'web.red')
    assert.equal(names.reverse(db.id, '10.0.0.2'), undefined)
  })

  void it('follow what comes and goes', () => {
    const names = new Names()
    names.set(web, [placed(red, web, '10.0.0.2')])
    names.set(db, [placed(red, db, '10.0.0.3')])
    names.set({ ...web, name: 'www' }, [placed(red, web, '10.0.0.2')])
    assert.equal(names.lookup(db.id, 'web'), undefined)
    assert.deepEqual(names.lookup(db.id, 'www')?.v4, ['10.0.0.2'])
    names.forget(web.id)
    assert.equal(names.lookup(db.id, 'www'), undefined)
    assert.equal(names.reverse(db.id, '10.0.0.2'), undefined)
  })

  void it('who is found no more still sees the others: its sandbox may be in use', () => {
    const names = new Names()
    names.set(web, [placed(red, web, '10.0.0.2', { links: [{ id: '', name: 'db', alias: 'store' }] })])
    names.set(db, [placed(red, db, '10.0.0.3')])
    const seen = (): unknown[] => [
      names.lookup(web.id, 'db')?.v4,
      names.lookup(web.id, 'store')?.v4,
      names.reverse(web.id, '10.0.0.3'),
      names.lookup(db.id, 'web'),
      names.reverse(db.id, '10.0.0.2'),
    ]
    names.forget(web.id)
    const gone = [['10.0.0.3'], ['10.0.0.3'], 'db.red', undefined, undefined]
    assert.deepEqual(seen(), gone)
    // As after a restart of the service.
    names.set({ ...web, phase: 'released' }, [
      placed(red, web, '10.0.0.2', { links: [{ id: '', name: 'db', alias: 'store' }] }),
    ])
    assert.deepEqual(seen(), gone)
    names.drop(web.id)
    assert.equal(names.lookup(web.id, 'db'), undefined)
  })

  void it('one who leaves takes nothing of the others with it', () => {
    const names = new Names()
    const twin = sandbox('twin')
    names.set(web, [placed(red, web, '10.0.0.2', { aliases: ['app'] })])
    names.set(twin, [placed(red, twin, '10.0.0.3', { aliases: ['APP', 'app'] })])
    names.set(db, [placed(red, db, '10.0.0.4')])
    names.forget(web.id)
    assert.deepEqual(names.lookup(db.id, 'app')?.v4, ['10.0.0.3'])
    // Its address is another's by now.
    names.set(web, [placed(red, web, '10.0.0.2')])
    names.set(twin, [placed(red, twin, '10.0.0.2')])
    names.forget(web.id)
    assert.equal(names.reverse(db.id, '10.0.0.2'), 'twin.red')
  })

  void it('a link is a name that only its owner knows, of whoever has the target’s name when it is asked for', () => {
    const names = new Names()
    names.set(web, [placed(red, web, '10.0.0.2', { links: [{ id: '', name: 'db', alias: 'store' }] })])
    assert.equal(names.lookup(web.id, 'store'), undefined)
    names.set(db, [placed(red, db, '10.0.0.3')])
    assert.deepEqual(names.lookup(web.id, 'store')?.v4, ['10.0.0.3'])
    assert.equal(names.lookup(db.id, 'store'), undefined)
    names.drop(db.id)
    assert.equal(names.lookup(web.id, 'store'), undefined)
    const again = { ...sandbox('db'), id: 'another' }
    names.set(again, [placed(red, again, '10.0.0.9')])
    assert.deepEqual(names.lookup(web.id, 'store')?.v4, ['10.0.0.9'])
    // Taken from the network with its endpoint.
    names.set(web, [placed(blue, web, '10.1.0.2')])
    assert.equal(names.lookup(web.id, 'store'), undefined)
  })

  void it('servers for other names: --dns, or none on internal networks', () => {
    const names = new Names()
    const inner = network('in', { internal: true })
    names.set(sandbox('a', { dns: ['1.1.1.1'] }), [placed(red, sandbox('a'), '10.0.0.2')])
    assert.deepEqual(names.forwarders(sandbox('a').id), ['1.1.1.1'])
    names.set(web, [placed(inner, web, '10.0.0.2')])
    assert.deepEqual(names.forwarders(web.id), [])
    names.set(web, [placed(red, web, '10.0.0.2')])
    assert.equal(names.forwarders(web.id), undefined)
    // The default bridge has no names, but leads out.
    const inside = placed(inner, web, '10.1.0.2')
    names.set(web, [inside], [placed(network('bridge'), web, '10.0.0.2'), inside])
    assert.equal(names.forwarders(web.id), undefined)
  })
})

void describe('network filters', () => {
  const all = [
    network('bridge', { predefined: true }),
    network('blue', { labels: { color: 'blue' }, driver: 'macvlan' }),
    network('green', { labels: { color: 'green', keep: '' } }),
  ]
  const names = (filters: Record<string, string[]>) =>
    filterNetworks(all, filters, (n) => n.name === 'green').map((n) => n.name)

  void it('work like Docker’s', () => {
    assert.deepEqual(names({}), ['bridge', 'blue', 'green'])
    assert.deepEqual(names({ driver: ['macvlan'] }), ['blue'])
    assert.deepEqual(names({ label: ['color'] }), ['blue', 'green'])
    assert.deepEqual(names({ label: ['color=green', 'keep'] }), ['green'])
    assert.deepEqual(names({ 'label!': ['keep'] }), ['bridge', 'blue'])
    assert.deepEqual(names({ name: ['^b'] }), ['bridge', 'blue'])
    assert.deepEqual(names({ type: ['builtin'] }), ['bridge'])
    assert.deepEqual(names({ dangling: ['true'] }), ['blue'])
    assert.deepEqual(names({ dangling: ['0'] }), ['bridge', 'green'])
    assert.deepEqual(names({ until: ['2025-01-01T00:00:00Z'] }), [])
    assert.deepEqual(names({ until: ['1h30m'] }).length, 3)
  })

  void it('wrong ones are named', () => {
    const wrong: Record<string, string[]>[] = [{ nope: ['1'] }, { type: ['x'] }, { dangling: ['x'] }, { until: ['x'] }]
    for (const filters of wrong) {
      assert.throws(
        () => names(filters),
        (e) => isKind(e, 'invalid') && /filter/.test(e.message),
      )
    }
  })
})

void describe('network view', () => {
  void it('is Docker’s', () => {
    const on = network('blue', {
      pools: [
        { cidr: '10.0.0.0/24', gateway: '10.0.0.1', ipRange: '10.0.0.128/25', aux: { r: '10.0.0.9' }, v6: false },
      ],
    })
    const web = sandbox('web')
    const { endpoint } = placed(on, web, '10.0.0.130')
    assert.deepEqual(networkView(on, [{ endpoint, container: web.id, name: 'web' }]), {
      Name: 'blue',
      Id: 'blue-id',
      Created: '2026-01-01T00:00:00.000Z',
      Scope: 'local',
      Driver: 'bridge',
      EnableIPv4: true,
      EnableIPv6: false,
      IPAM: {
        Driver: 'default',
        Options: {},
        Config: [
          {
            Subnet: '10.0.0.0/24',
            IPRange: '10.0.0.128/25',
            Gateway: '10.0.0.1',
            AuxiliaryAddresses: { r: '10.0.0.9' },
          },
        ],
      },
      Internal: false,
      Attachable: false,
      Ingress: false,
      ConfigFrom: { Network: '' },
      ConfigOnly: false,
      Containers: {
        [web.id]: {
          Name: 'web',
          EndpointID: endpoint.id,
          MacAddress: '02:42:00:00:00:02',
          IPv4Address: '10.0.0.130/24',
          IPv6Address: '',
        },
      },
      Options: {},
      Labels: {},
    })
  })
})

void describe('sysctls', () => {
  void it('of an interface wait until it is there; Docker’s defaults can be overridden', () => {
    const plan = planSysctls({
      'net.ipv4.conf.eth0.forwarding': '1',
      'net.ipv4.conf.all.forwarding': '1',
      'net.ipv4.ip_unprivileged_port_start': '80',
    })
    assert.deepEqual(plan.after, [['net.ipv4.conf.eth0.forwarding', '1']])
    assert.deepEqual(Object.fromEntries(plan.before), {
      'net.ipv4.ip_unprivileged_port_start': '80',
      'net.ipv4.ping_group_range': '0 2147483647',
      'net.ipv4.conf.all.forwarding': '1',
    })
  })
})
