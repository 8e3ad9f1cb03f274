import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Json, SandboxInfo } from '../../shared/contracts/index.ts'
import { type ErrorKind, isKind } from '../../shared/errors/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { until } from '../support/until.ts'

/**
 * What networks may be defined side by side, and what becomes of them when the service dies: with real drivers on the real kernel, in a
 * network namespace of this process's own that plays the host.
 */
const CLONE_NEWNET = 0x40000000
const engine = 'gdef'
const dir = mkdtempSync(join(tmpdir(), 'gantry-network-definitions-'))
let net: NetworkService

const run = (netns: string | null, ...command: string[]): string => {
  const enter = netns === null ? [] : ['nsenter', `--net=${netns}`]
  const [file = '', ...args] = [...enter, ...command]
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 10_000 })
}
const reaches = (from: SandboxInfo, address: string): boolean => {
  try {
    run(from.netns, 'busybox', 'ping', '-c3', '-W1', address)
    return true
  } catch {
    return false
  }
}
const fails = (kind: ErrorKind, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error)
  assert.match(error.message, text)
  assert.ok(isKind(error, kind), `is ${String((error as { kind?: unknown }).kind)}: ${error.message}`)
  return true
}
const links = (): string => run(null, 'ip', '-o', 'link')
const network = async (name: string, spec: object = {}): Promise<string> =>
  (await net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })).id
const subnets = (...config: { Subnet: string; Gateway?: string }[]): object => ({ IPAM: { Config: config } })
const remove = (ref: string): Promise<unknown> => net.call('network.remove', { ref })
const view = (ref: string): Promise<Json> => net.call('network.inspect', { ref })
/** A container on one network, for the time that `use` takes. */
async function withSandbox(endpoint: ReturnType<typeof on>, use: (info: SandboxInfo) => Promise<void> | void) {
  const request = sandbox(`user-${newId().slice(0, 6)}`, { endpoints: [endpoint] })
  try {
    await use(await net.call('sandbox.create', request))
  } finally {
    await net.call('sandbox.delete', { id: request.id })
  }
}
async function restart(config: Parameters<typeof startNetworkService>[2] = {}): Promise<void> {
  await net.stop()
  net = await startNetworkService(dir, engine, config)
}

before(async () => {
  syscallFn('int unshare(int flags)')(CLONE_NEWNET)
  run(null, 'ip', 'link', 'set', 'lo', 'up')
  // The host's LAN: `lan0` is its interface there.
  run(null, 'ip', 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'far0')
  for (const end of ['lan0', 'far0']) run(null, 'ip', 'link', 'set', end, 'up')
  run(null, 'ip', 'addr', 'add', '192.168.77.1/24', 'dev', 'lan0')
  net = await startNetworkService(dir, engine)
})

after(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  rmSync(dir, { recursive: true, force: true })
})

void describe('macvlan', () => {
  const parent = { Driver: 'macvlan', Options: { parent: 'lan0' } }

  void it("takes the subnet of its parent, the host's own LAN; a bridge may not", async () => {
    const lan = { Subnet: '192.168.77.0/24', Gateway: '192.168.77.254' }
    await assert.rejects(
      network('bridged', subnets(lan)),
      fails('forbidden', /192\.168\.77\.0\/24 of a route of this host \(device lan0\)/),
    )
    await network('lan', { ...parent, ...subnets(lan) })
    await withSandbox(on('lan', { ipv4: '192.168.77.50' }), (a) =>
      withSandbox(on('lan'), (b) => {
        assert.match(run(a.netns, 'ip', 'route'), /^default via 192\.168\.77\.254 dev eth0/m)
        assert.ok(reaches(b, '192.168.77.50'))
      }),
    )
    await assert.rejects(
      network('lan2', { ...parent, ...subnets(lan) }),
      fails('forbidden', /overlaps with 192\.168\.77\.0\/24 of network lan /),
    )
    await remove('lan')
  })

  void it('without a subnet gets one that the host has no route to', async () => {
    await network('anywhere', parent)
    const [pool] = ((await view('anywhere'))['IPAM'] as { Config: { Subnet: string }[] }).Config
    assert.doesNotMatch(pool?.Subnet ?? '', /^192\.168\.77\./)
    await remove('anywhere')
  })

  void it('with several subnets: gateway and prefix are those of the address', async () => {
    const two = subnets({ Subnet: '10.81.0.0/24' }, { Subnet: '10.82.0.0/16', Gateway: '10.82.9.9' })
    await network('two', { ...parent, ...two })
    await withSandbox(on('two', { ipv4: '10.82.0.5' }), async (info) => {
      const [endpoint] = info.endpoints
      assert.deepEqual([endpoint?.gateway4, endpoint?.ipv4PrefixLength], ['10.82.9.9', 16])
      assert.match(run(info.netns, 'ip', 'route'), /^default via 10\.82\.9\.9 dev eth0/m)
      const [shown] = Object.values((await view('two'))['Containers'] as Record<string, { IPv4Address: string }>)
      assert.equal(shown?.IPv4Address, '10.82.0.5/16')
      await withSandbox(on('two'), (other) => assert.equal(other.endpoints[0]?.gateway4, '10.81.0.1'))
    })
    await remove('two')
  })
})

void describe('bridges', () => {
  void it('many are made at once, each with a subnet of its own', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `at-once-${i}`)
    await Promise.all(names.map((name) => network(name)))
    const made = await Promise.all(names.map((name) => view(name)))
    assert.equal(new Set(made.map((one) => JSON.stringify(one['IPAM']))).size, names.length)
    await Promise.all(names.map(remove))
  })

  const named = (name: string): object => ({ Options: { 'com.docker.network.bridge.name': name } })

  void it('a device is one network’s: a second one is refused, naming the first', async () => {
    const id = await network('first', named('shared0'))
    const same = (text: RegExp) => fails('forbidden', new RegExp(`${text.source}.*networks have same bridge name`))
    await assert.rejects(network('second', named('shared0')), same(/\(shared0\): conflicts with network first/))
    await assert.rejects(network('second', named(`${engine}0`)), same(/conflicts with network bridge/))
    await network('plain')
    await assert.rejects(
      network('second', named(`br-${String((await view('plain'))['Id']).slice(0, 12)}`)),
      same(/conflicts with network plain/),
    )
    await remove('plain')
    await remove(id)
    await network('second', named('shared0'))
    await remove('second')
  })

  void it('nobody else is the default bridge', async () => {
    const options = (value: string): object => ({ Options: { 'com.docker.network.bridge.default_bridge': value } })
    await assert.rejects(network('mine', options('true')), fails('invalid', /default_bridge=true cannot be/))
    await network('mine', options('false'))
    await remove('mine')
  })

  void it('have one subnet of each family', async () => {
    await assert.rejects(
      network('several', subnets({ Subnet: '10.81.0.0/24' }, { Subnet: '10.82.0.0/24' })),
      fails('forbidden', /bridge driver doesn't support multiple subnets/),
    )
    const both = subnets({ Subnet: '10.81.0.0/24' }, { Subnet: 'fd81::/64' })
    await network('several', { EnableIPv6: true, ...both })
    await remove('several')
  })
})

void describe('options', () => {
  void it('of others are kept and shown; those of Docker that are unknown are refused naming the valid ones', async () => {
    const Options = { 'com.example.owner': 'me', team: 'net', 'com.docker.network.enable_ipv6': 'false' }
    for (const Driver of ['bridge', 'macvlan']) {
      await network('noted', { Driver, Options })
      assert.deepEqual((await view('noted'))['Options'], Options)
      await remove('noted')
      await assert.rejects(
        network('refused', { Driver, Options: { 'com.docker.network.nonsense': '1' } }),
        fails('invalid', /no option "com\.docker\.network\.nonsense" \(there are: .*com\.docker\.network\.driver\.mtu/),
      )
    }
  })

  void it('container_iface_prefix and inhibit_ipv4 do what they say', async () => {
    const Options = {
      'com.docker.network.container_iface_prefix': 'net',
      'com.docker.network.bridge.inhibit_ipv4': 'true',
      'com.docker.network.bridge.name': 'quiet0',
    }
    await network('quiet', { Options, ...subnets({ Subnet: '10.83.0.0/24' }) })
    await withSandbox(on('quiet'), (info) => {
      assert.match(run(info.netns, 'ip', 'addr', 'show', 'net0'), /inet 10\.83\.0\.2\/24/)
      assert.match(run(info.netns, 'ip', 'route'), /^default via 10\.83\.0\.1 dev net0/m)
      assert.doesNotMatch(run(null, 'ip', 'addr', 'show', 'quiet0'), /inet /)
    })
    await remove('quiet')
  })
})

void describe('configuration networks', () => {
  const config = { IPRange: '10.84.0.128/25', Subnet: '10.84.0.0/24' }
  const spec = { ConfigOnly: true, IPAM: { Config: [config] }, Labels: { a: '1', b: '1' }, Options: { team: 'net' } }

  void it('lend their settings, and are nothing else', async () => {
    await network('settings', spec)
    const shown = await view('settings')
    assert.deepEqual(
      [shown['Driver'], shown['ConfigOnly'], shown['IPAM']],
      ['null', true, { Driver: 'default', Options: {}, Config: [config] }],
    )
    await network('heir', { ConfigFrom: { Network: 'settings' }, Labels: { b: '2' } })
    const heir = await view('heir')
    assert.deepEqual(
      [heir['Driver'], heir['ConfigFrom'], heir['Labels'], heir['Options']],
      ['bridge', { Network: 'settings' }, { a: '1', b: '2' }, { team: 'net' }],
    )
    await withSandbox(on('heir'), ({ endpoints }) => assert.equal(endpoints[0]?.ipv4, '10.84.0.128'))
    await assert.rejects(
      net.call('sandbox.create', sandbox('x', { endpoints: [on('settings')] })),
      fails('forbidden', /configuration network settings/),
    )
    await assert.rejects(remove('settings'), fails('forbidden', /"settings" is in use by network heir/))
    await restart()
    await net.call('network.prune', { filters: {} })
    assert.deepEqual(
      (await net.call('network.list', { filters: { type: ['custom'] } })).map((n) => n['Name']),
      ['settings'],
    )
    await remove('settings')
    assert.deepEqual(
      net
        .events()
        .slice(-3)
        .map(({ payload }) => payload.Action),
      ['destroy', 'prune', 'destroy'],
    )
  })

  void it('are refused where they are not there, no such network, or make no sense', async () => {
    const from = (Network: string): Promise<string> => network('heir', { ConfigFrom: { Network } })
    await assert.rejects(from('nobody'), fails('not-found', /configuration network "nobody" does not exist/))
    await assert.rejects(from('bridge'), fails('forbidden', /"bridge" is not a configuration network/))
    const bad = { ConfigOnly: true, IPAM: { Config: [{ Subnet: '10.84.0.1/24' }] } }
    await assert.rejects(network('settings', bad), fails('invalid', /should be 10\.84\.0\.0\/24/))
  })
})

void describe('references', () => {
  void it('the beginning of several ids is refused as ambiguous', async () => {
    const ids = ['aaaa1', 'aaaa2'].map((start) => start.padEnd(64, '0'))
    for (const id of ids) await net.call('network.create', { id, spec: { Name: id.slice(0, 5) } })
    const ambiguous = fails('invalid', /network aaaa is ambiguous \(2 matches found based on ID prefix\)/)
    await assert.rejects(view('aaaa'), ambiguous)
    await assert.rejects(remove('aaaa'), ambiguous)
    for (const id of ids) await remove(id.slice(0, 5))
  })

  void it('prune is told as an event, like those of images and volumes', async () => {
    await network('idle')
    await net.call('network.prune', { filters: {} })
    const last = net.events().at(-1)?.payload
    assert.deepEqual([last?.Action, last?.Actor.ID, last?.Actor.Attributes], ['prune', '', { reclaimed: '0' }])
  })
})

void describe('after a crash', () => {
  /** The service stops, and finds its database as if it had been killed with the network in that phase. */
  async function crash(id: string, phase: string): Promise<void> {
    net.store.run('UPDATE networks SET phase = ? WHERE id = ?', phase, id)
    await restart()
  }

  void it('a network that was half made can be asked for again at once', async () => {
    const id = await network('half')
    await crash(id, 'creating')
    assert.equal((await net.call('network.create', { id, spec: { Name: 'half' } })).id, id)
    await remove('half')
  })

  void it('so can its name', async () => {
    await crash(await network('half'), 'creating')
    await network('half')
    await remove('half')
  })

  void it('the default bridge is there, also when the crash came as it was made', async () => {
    await crash(String((await view('bridge'))['Id']), 'creating')
    await withSandbox(on('bridge'), (info) => assert.equal(info.endpoints.length, 1))
  })

  for (const [title, ref] of [
    ['name', () => 'leaving'],
    ['id', (id: string) => id],
    ['beginning of the id', (id: string) => id.slice(0, 12)],
  ] as const) {
    void it(`a removal that was cut short is answered when it is asked for again, once: by ${title}`, async () => {
      const id = await network('leaving')
      await crash(id, 'deleting')
      await remove(ref(id))
      await assert.rejects(remove(ref(id)), fails('not-found', /not found/))
    })
  }

  void it('a new network of the name is another one', async () => {
    const id = await network('leaving')
    await crash(id, 'deleting')
    await network('leaving')
    await remove('leaving')
    await assert.rejects(remove('leaving'), fails('not-found', /network leaving not found/))
  })
})

void describe('network.defaultBridge', () => {
  const subnet = async (): Promise<string | undefined> =>
    ((await view('bridge'))['IPAM'] as { Config: { Subnet: string }[] }).Config[0]?.Subnet

  void it('changed: the bridge is made anew, once nobody is on it', async () => {
    const before = await subnet()
    const request = sandbox('staying')
    await net.call('sandbox.create', request)
    await restart({ defaultBridge: '10.99.0.1/16' })
    assert.equal(await subnet(), before)
    assert.match(
      net.running.warnings?.().join() ?? '',
      /network\.defaultBridge is 10\.99\.0\.1\/16 now, but the default bridge \(\S+\) has containers/,
    )
    await net.call('sandbox.delete', { id: request.id })
    await restart({ defaultBridge: '10.99.0.1/16' })
    assert.equal(await subnet(), '10.99.0.0/16')
    assert.deepEqual(net.running.warnings?.(), [])
    await withSandbox(on('bridge'), (info) => {
      assert.equal(info.endpoints[0]?.gateway4, '10.99.0.1')
      assert.ok(reaches(info, '10.99.0.1'))
    })
    assert.doesNotMatch(
      run(null, 'ip', 'addr', 'show', `${engine}0`),
      new RegExp(String(before?.replace('.0/16', '.1'))),
    )
    const id = (await view('bridge'))['Id']
    await restart({ defaultBridge: '10.99.0.1/16' })
    assert.equal((await view('bridge'))['Id'], id)
  })

  void it('leaves nothing behind', async () => {
    await until('only the default bridge is left', 5000, () => !/ (br-|shared|quiet)/.test(links()))
  })
})
