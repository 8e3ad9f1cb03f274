import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isKind, type ErrorKind } from '../../../shared/errors/index.ts'
import { Store } from '../../../shared/store/index.ts'
import { Ipam, type PoolRange, type PoolWish } from './index.ts'

const NET = { id: 'n'.repeat(64), name: 'mynet' }

function setUp(pools?: readonly PoolRange[]): { store: Store; ipam: Ipam } {
  const store = new Store(':memory:', Ipam.migrations, 'test')
  return { store, ipam: new Ipam(store, { pools }) }
}

const refused =
  (kind: ErrorKind, ...words: string[]) =>
  (error: unknown) =>
    isKind(error, kind) && words.every((word) => (error as Error).message.includes(word))

/** A network with one pool, and a short way to ask for an address of it. */
function network(wish: PoolWish, store?: Store) {
  const made = store ? { store, ipam: new Ipam(store) } : setUp()
  const [pool] = made.ipam.requestPools(NET, [wish], [])
  assert.ok(pool)
  const ask = (owner: string, wanted?: string): string =>
    made.ipam.requestAddress({ networkId: NET.id, cidr: pool.cidr, owner, holder: `container ${owner}`, wanted })
  return { ...made, pool, ask }
}

describe('pools', () => {
  test('everything as asked', () => {
    const { ipam } = setUp()
    const wish = {
      subnet: '10.77.1.0/24',
      ipRange: '10.77.1.128/25',
      gateway: '10.77.1.254',
      aux: { router: '10.77.1.129' },
    }
    const pool = { cidr: wish.subnet, gateway: wish.gateway, ipRange: wish.ipRange, aux: wish.aux, v6: false }
    assert.deepEqual(ipam.requestPools(NET, [wish], []), [pool])
    assert.deepEqual(ipam.poolsOf(NET.id), [pool])
  })

  test('asking again for the same network gives the same pools', () => {
    const { ipam } = setUp()
    assert.deepEqual(ipam.requestPools(NET, [{}], []), ipam.requestPools(NET, [{}], []))
  })

  test('the gateway is the first address that is free', () => {
    assert.equal(network({ subnet: '10.0.0.0/24' }).pool.gateway, '10.0.0.1')
    assert.equal(network({ subnet: '10.0.0.0/24', aux: { a: '10.0.0.1' } }).pool.gateway, '10.0.0.2')
    assert.equal(network({ subnet: '10.0.0.0/31' }).pool.gateway, '10.0.0.0')
    assert.equal(network({ subnet: 'fd77:6::/64' }).pool.gateway, 'fd77:6::1')
  })

  test('a subnet that overlaps another network, or a route of the host, is refused naming it', () => {
    const { ipam } = setUp()
    ipam.requestPools(NET, [{ subnet: '10.77.1.0/24' }], [])
    const ask = (subnet: string, routes = [{ cidr: '192.0.2.0/24', device: 'eth0' }]) =>
      ipam.requestPools({ id: 'x', name: 'x' }, [{ subnet }], routes)
    const overlap = 'Pool overlaps with other one on this address space'
    assert.throws(() => ask('10.77.1.0/25'), refused('forbidden', overlap, 'network mynet'))
    assert.throws(() => ask('10.0.0.0/8'), refused('forbidden', overlap, '10.77.1.0/24', 'network mynet'))
    assert.throws(() => ask('192.0.2.128/25'), refused('forbidden', overlap, '192.0.2.0/24', 'eth0'))
    assert.equal(ask('10.77.2.0/24', [{ cidr: '0.0.0.0/0', device: 'eth0' }])[0]?.cidr, '10.77.2.0/24')
  })

  test('two subnets of one network must not overlap, and nothing stays of a refused network', () => {
    const { ipam } = setUp()
    const wishes = [{ subnet: '10.1.0.0/16' }, { subnet: '10.1.2.0/24' }]
    assert.throws(() => ipam.requestPools(NET, wishes, []), refused('forbidden', 'the network itself'))
    assert.deepEqual(ipam.poolsOf(NET.id), [])
  })

  for (const [wish, ...words] of [
    [{ subnet: '10.77.1.7/33' }, 'invalid subnet 10.77.1.7/33', 'CIDR'],
    [{ subnet: 'ten' }, 'invalid subnet ten'],
    [{ subnet: '127.5.0.0/24' }, 'invalid subnet 127.5.0.0/24', 'loopback'],
    [{ subnet: '225.0.0.0/24' }, 'invalid subnet 225.0.0.0/24', 'multicast'],
    [{ subnet: 'ff02::/64' }, 'invalid subnet ff02::/64', 'multicast'],
    [{ subnet: '::ffff:10.1.1.0/120' }, 'invalid subnet ::ffff:10.1.1.0/120', 'CIDR'],
    [{ subnet: '10.0.0.1/24' }, 'invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24'],
    [{ subnet: '10.0.0.0/24', gateway: '10.0.1.1' }, 'invalid gateway 10.0.1.1', "doesn't contain this address"],
    [{ subnet: '10.0.0.0/24', gateway: 'x' }, 'invalid gateway x: invalid address'],
    [{ subnet: '10.0.0.0/24', gateway: '10.0.0.255' }, 'broadcast'],
    [{ subnet: '10.0.0.0/24', gateway: 'fd00::1' }, 'parent subnet is an IPv4 block'],
    [{ subnet: '10.0.0.0/24', ipRange: '10.0.0.0/23' }, 'bigger than its parent subnet'],
    [{ subnet: '10.0.0.0/24', ipRange: '10.0.1.0/25' }, "doesn't contain ip-range"],
    [{ subnet: '10.0.0.0/24', ipRange: '10.0.0.1/25' }, 'it should be 10.0.0.0/25'],
    [{ subnet: '10.0.0.0/24', aux: { a: '10.0.1.1' } }, 'auxiliary address "a"', "doesn't contain"],
    [{ subnet: '10.0.0.0/24', aux: { a: '10.0.0.2', b: '10.0.0.2' } }, 'the same as a'],
    [{ subnet: '10.0.0.0/24', gateway: '10.0.0.2', aux: { a: '10.0.0.2' } }, 'the same as the gateway'],
    [{ gateway: '10.0.0.2' }, '10.0.0.2 needs a subnet'],
  ] as const satisfies readonly (readonly [PoolWish, ...string[]])[]) {
    test(`refused: ${JSON.stringify(wish)}`, () => {
      const { ipam } = setUp()
      assert.throws(() => ipam.requestPools(NET, [wish], []), refused('invalid', 'invalid network config:', ...words))
    })
  }

  test('every fault is told at once', () => {
    const wish = { subnet: '10.0.0.0/24', gateway: '1.1.1.1', ipRange: '2.2.2.0/24' }
    assert.throws(() => setUp().ipam.requestPools(NET, [wish], []), refused('invalid', '1.1.1.1', '2.2.2.0/24'))
  })

  test('thousands of default pools, none overlapping another or a route', () => {
    const { ipam } = setUp()
    const routes = [{ cidr: '172.16.0.0/12', device: 'vpn0' }]
    const seen = new Set<string>()
    for (let i = 0; i < 300; i++) {
      const [pool] = ipam.requestPools({ id: `n${i}`, name: `n${i}` }, [{}], routes)
      assert.ok(pool)
      assert.match(pool.cidr, i < 256 ? /^192\.168\./ : /^10\.192\./)
      seen.add(pool.cidr)
    }
    assert.equal(seen.size, 300)
  })

  test('a network costs about the same with 2,000 of them, each with a route of the host', () => {
    const { ipam } = setUp()
    const routes: { cidr: string; device: string }[] = []
    const make = (i: number): void => {
      const [pool] = ipam.requestPools({ id: `n${i}`, name: `n${i}` }, [{}], routes)
      routes.push({ cidr: pool?.cidr ?? '', device: `br-${i}` })
    }
    for (let i = 0; i < 2000; i++) make(i)
    const begin = process.cpuUsage()
    for (let i = 2000; i < 2020; i++) make(i)
    const { user, system } = process.cpuUsage(begin)
    const ms = (user + system) / 20_000
    assert.ok(ms < 10, `${ms} ms each`)
    ipam.releasePools('n7')
    assert.equal(ipam.requestPools({ id: 'again', name: 'again' }, [{}], [])[0]?.cidr, '172.18.7.0/24')
  })

  test('a release that is rolled back frees nothing, and a request that is rolled back takes nothing', () => {
    const { ipam, store } = setUp([{ base: '10.9.0.0/23', size: 24 }])
    const make = (id: string): string | undefined => ipam.requestPools({ id, name: id }, [{}], [])[0]?.cidr
    const failing = (work: () => void): void =>
      assert.throws(() =>
        store.transaction(() => {
          work()
          throw new Error('rolled back')
        }),
      )
    failing(() => make('a'))
    assert.equal(make('b'), '10.9.0.0/24')
    failing(() => ipam.releasePools('b'))
    assert.equal(make('c'), '10.9.1.0/24')
    assert.throws(() => make('d'), refused('conflict', 'fully subnetted'))
  })

  test('a pool given back is given out again; when there is none left that is said', () => {
    const { ipam } = setUp([{ base: '10.9.0.0/23', size: 24 }])
    const make = (id: string): string | undefined => ipam.requestPools({ id, name: id }, [{}], [])[0]?.cidr
    assert.equal(make('a'), '10.9.0.0/24')
    assert.equal(make('b'), '10.9.1.0/24')
    assert.throws(() => make('c'), refused('conflict', 'all predefined address pools have been fully subnetted'))
    ipam.releasePools('a')
    assert.equal(make('c'), '10.9.0.0/24')
  })

  test('IPv6 without a subnet comes from a range of this engine, the same after a restart', () => {
    const { store, ipam } = setUp()
    const [four, six] = ipam.requestPools(NET, [{}, { v6: true }], [])
    assert.equal(four?.v6, false)
    assert.match(six?.cidr ?? '', /^fd[0-9a-f]{2}:.*\/64$/)
    const [next] = new Ipam(store).requestPools({ id: 'b', name: 'b' }, [{ v6: true }], [])
    assert.notEqual(next?.cidr, six?.cidr)
    assert.equal(next?.cidr.split(':')[1], six?.cidr.split(':')[1])
  })

  test('configured ranges that make no sense are refused', () => {
    assert.throws(() => setUp([{ base: '10.0.0.0/16', size: 8 }]), refused('invalid', 'network.pools', '16 to 32'))
    assert.throws(() => setUp([{ base: '10.0.0.0', size: 24 }]), refused('invalid', 'network.pools'))
  })
})

describe('addresses', () => {
  test('come from the range; gateway and auxiliary addresses are left out', () => {
    const { ask } = network({
      subnet: '10.77.1.0/24',
      ipRange: '10.77.1.128/25',
      gateway: '10.77.1.254',
      aux: { router: '10.77.1.129' },
    })
    assert.deepEqual([ask('a'), ask('b'), ask('c')], ['10.77.1.128', '10.77.1.130', '10.77.1.131'])
  })

  test('all that there are, then none', () => {
    const { ask } = network({ subnet: '10.0.0.0/29' })
    const got = ['a', 'b', 'c', 'd', 'e'].map((owner) => ask(owner))
    assert.deepEqual(got, ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'])
    assert.throws(() => ask('f'), refused('conflict', 'no available IPv4 addresses', 'mynet'))
  })

  test('an owner keeps its address, and gets it again when it comes back', () => {
    const { ipam, ask } = network({ subnet: '10.0.0.0/24' })
    assert.equal(ask('a'), '10.0.0.2')
    assert.equal(ask('a'), '10.0.0.2')
    ipam.releaseOwner('a')
    assert.equal(ask('b'), '10.0.0.3', 'a just released address rests')
    assert.equal(ask('a'), '10.0.0.2')
    ipam.releaseOwner('b', 'another network')
    assert.deepEqual(
      ipam.addressesOf(NET.id).map((lease) => lease.owner),
      ['a', 'b'],
    )
  })

  test('a wish is granted anywhere in the subnet, or refused saying why', () => {
    const { ask } = network({ subnet: '10.77.1.0/24', ipRange: '10.77.1.128/25', aux: { nas: '10.77.1.9' } })
    assert.equal(ask('a', '10.77.1.5'), '10.77.1.5')
    assert.equal(ask('a', '10.77.1.5'), '10.77.1.5')
    assert.throws(() => ask('b', '10.77.1.5'), refused('forbidden', 'Address already in use', 'container a'))
    assert.throws(() => ask('b', '10.77.1.1'), refused('forbidden', 'Address already in use', 'the gateway'))
    assert.throws(() => ask('b', '10.77.1.9'), refused('forbidden', 'auxiliary address "nas"'))
    assert.throws(() => ask('b', '10.77.2.5'), refused('invalid', 'no configured subnet contains IP address 10.77.2.5'))
    assert.throws(() => ask('b', '10.77.1.255'), refused('invalid', '10.77.1.255'))
    assert.throws(() => ask('b', 'fd00::1'), refused('invalid', 'out of range'))
    assert.throws(() => ask('b', 'nonsense'), refused('invalid', 'nonsense'))
    assert.throws(() => ask('a', '10.77.1.6'), refused('conflict', '10.77.1.5'))
  })

  test('an unknown pool is not-found', () => {
    const { ipam } = setUp()
    const request = { networkId: 'nope', cidr: '10.0.0.0/24', owner: 'a', holder: 'a' }
    assert.throws(() => ipam.requestAddress(request), refused('not-found', 'nope'))
  })

  test('IPv6, however written', () => {
    const { ask } = network({ subnet: 'fd77:6::/64' })
    assert.equal(ask('a'), 'fd77:6::2')
    assert.equal(ask('b', 'FD77:6:0:0::00ff'), 'fd77:6::ff')
    assert.throws(() => ask('c', 'fd77:6::0'), refused('invalid', 'fd77:6::'))
  })

  test('outlive a restart of the service', () => {
    const { store, ask } = network({ subnet: '10.0.0.0/29' })
    ask('a')
    ask('b')
    const again = network({ subnet: '10.0.0.0/29' }, store)
    assert.equal(again.ask('b'), '10.0.0.3')
    assert.equal(again.ask('c'), '10.0.0.4')
    assert.deepEqual(again.ipam.owners().toSorted(), ['a', 'b', 'c'])
  })

  test('what is rolled back is free again, what was released in vain is not', () => {
    const { store, ipam, ask } = network({ subnet: '10.0.0.0/29' })
    const failing = (work: () => void): void =>
      assert.throws(() =>
        store.transaction(() => {
          work()
          throw new Error('rolled back')
        }),
      )
    failing(() => ask('a'))
    const owners = ['b', 'c', 'd', 'e', 'f']
    assert.equal(new Set(owners.map((owner) => ask(owner))).size, 5)
    failing(() => ipam.releaseOwner('b'))
    assert.throws(() => ask('g'), refused('conflict', 'no available'))
  })

  test('the last address of a nearly full /16 is found at once', () => {
    const { ipam, store, ask } = network({ subnet: '10.5.0.0/16' })
    store.transaction(() => {
      for (let i = 0; i < 65_533; i++) ask(`c${i}`)
    })
    assert.throws(() => ask('too many'), refused('conflict', 'no available'))
    ipam.releaseOwner('c40000')
    const begin = process.hrtime.bigint()
    assert.equal(ask('last'), '10.5.156.66')
    const ms = Number(process.hrtime.bigint() - begin) / 1e6
    assert.ok(ms < 20, `${ms} ms`)
  })

  test('random allocation and release never gives an address to two', () => {
    const { ipam, ask } = network({ subnet: '10.0.0.0/26', aux: { a: '10.0.0.7' } })
    const held = new Map<string, string>()
    // A small generator of its own (mulberry32), so that a failure can be repeated.
    let seed = 20240601
    const random = (below: number): number => {
      seed = (seed + 0x6d2b79f5) | 0
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
      return ((t ^ (t >>> 14)) >>> 0) % below
    }
    for (let step = 0; step < 5000; step++) {
      const owner = `o${random(100)}`
      if (held.has(owner) && random(2) === 0) {
        ipam.releaseOwner(owner)
        held.delete(owner)
        continue
      }
      try {
        const address = ask(owner, random(4) === 0 && !held.has(owner) ? `10.0.0.${random(64)}` : undefined)
        for (const [other, its] of held) assert.ok(other === owner || its !== address, `${address} twice, step ${step}`)
        assert.ok(!['10.0.0.0', '10.0.0.1', '10.0.0.7', '10.0.0.63'].includes(address), address)
        held.set(owner, address)
      } catch (error) {
        const free = 60 - held.size
        assert.ok(
          isKind(error, 'forbidden') || isKind(error, 'invalid') || (isKind(error, 'conflict') && free === 0),
          String(error),
        )
      }
    }
    const leases = new Map(ipam.addressesOf(NET.id).map((lease) => [lease.owner, lease.address]))
    assert.deepEqual([...leases].toSorted(), [...held].toSorted())
  })
})
