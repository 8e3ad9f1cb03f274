import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import assert from 'node:assert/strict'
import type { EndpointSpec, NetworkSpec } from '../../shared/drivers/index.ts'
import { isKind } from '../../shared/errors/index.ts'
import { deleteNetns, withNetnsLink } from '../../shared/kernel/netns.ts'
import { addressOf, type NetworkSuiteOptions, World } from './network-world.ts'

/**
 * The laws of shared/drivers/network.ts, on the real kernel. The thread moves into a network namespace of its own, which plays
 * the host: nothing of the machine's network is touched, and all ends with the process. Cases that a driver's capabilities do
 * not promise are skipped, with the reason.
 */
export function networkDriverSuite(options: NetworkSuiteOptions): void {
  const folder = join(import.meta.dirname, '..', '..', 'plugins', 'network', options.driver)
  void describe(`network driver ${options.title ?? options.driver}`, () => {
    const world = new World(options, folder)
    before(() => world.open())
    after(() => world.close())
    laws(world)
    void describe('with interfaces', () => interfaceLaws(world, options))
    void describe('recovery', () => recoveryLaws(world))
    void describe('killed between two steps', () => crashLaws(world, folder))
  })
}

type Case = (t: { skip(reason: string): void }) => Promise<void>

function laws(w: World): void {
  void it('says what it is', () => {
    const { manifest } = w.driver
    assert.equal(manifest.kind, 'network')
    assert.equal(manifest.contract, 1)
    assert.match(manifest.version, /^\d+\.\d+\.\d+$/)
    assert.ok(['bridge', 'none', 'host', 'joined', 'l2'].includes(String(manifest.capabilities['connectivity'])))
    for (const name of ['dns', 'portMapping', 'ipam', 'singleton', 'ipv6']) {
      assert.equal(typeof manifest.capabilities[name], 'boolean', name)
    }
  })

  void it('can run here, and says how well', async () => {
    const probe = await w.driver.probe()
    assert.equal(probe.usable, true)
  })

  void it('refuses an option that it does not have, naming it', () => {
    assert.throws(
      () => w.driver.validate({ ...w.network(), options: { ...w.network().options, 'no.such.option': '1' } }),
      (error) => isKind(error, 'invalid') && error.message.includes('no.such.option'),
    )
  })

  void it('makes a network twice, and deletes it twice', async () => {
    const network = w.network()
    const links = w.links()
    const state = await w.driver.createNetwork(network)
    assert.deepEqual(JSON.parse(JSON.stringify(state)), state, 'state is JSON')
    assert.equal(typeof state.version, 'number')
    assert.deepEqual(await w.driver.createNetwork(network), state)
    const side = w.driver.hostSide(network)
    if (side) assert.ok(w.links().includes(side.interface))
    await w.driver.deleteNetwork(network, state)
    await w.driver.deleteNetwork(network, state)
    await w.driver.deleteNetwork(network, undefined)
    assert.deepEqual(w.links(), links)
  })

  void it('deletes what it has never heard of', async () => {
    const network = w.network()
    await w.driver.deleteEndpoint(network, w.endpoint(network, 'never', 2), undefined)
    await w.driver.deleteNetwork(network, undefined)
  })
}

function interfaceLaws(w: World, options: NetworkSuiteOptions): void {
  const law = (name: string, run: Case): void =>
    void it(name, async (t) => {
      if (w.capability('ipam') !== true) t.skip(`connectivity ${String(w.capability('connectivity'))} has no interface`)
      else await run(t)
    })

  law('an endpoint has the name, MAC and addresses asked for, and is up', () =>
    w.withNetwork(async (network, state) => {
      const endpoint = w.endpoint(network, 'a', 2)
      const result = await w.driver.createEndpoint(network, state, endpoint)
      assert.deepEqual(JSON.parse(JSON.stringify(result)), result)
      assert.deepEqual(w.look(endpoint), { mac: endpoint.mac, up: true, addresses: [...endpoint.addresses].sort() })
      if (result.hostInterface !== undefined) assert.ok(w.links().includes(result.hostInterface))
    }),
  )

  law('making an endpoint twice changes nothing', () =>
    w.withNetwork(async (network, state) => {
      const endpoint = w.endpoint(network, 'a', 2)
      const first = await w.driver.createEndpoint(network, state, endpoint)
      const index = w.indexOf(endpoint)
      assert.deepEqual(await w.driver.createEndpoint(network, state, endpoint), first)
      assert.equal(w.indexOf(endpoint), index)
    }),
  )

  law('endpoints reach each other', () =>
    w.withNetwork(async (network, state) => {
      const [a, b] = [w.endpoint(network, 'a', 2), w.endpoint(network, 'b', 3)]
      for (const e of [a, b]) await w.driver.createEndpoint(network, state, e)
      assert.ok(w.reaches(a, b))
      if (w.capability('ipv6') === true) assert.ok(w.reaches(a, b, true), 'over IPv6')
    }),
  )

  law('the host reaches an endpoint', async (t) => {
    if (w.capability('connectivity') !== 'bridge') return t.skip('only bridges lead to the host')
    await w.withNetwork(async (network, state) => {
      const a = w.endpoint(network, 'a', 2)
      await w.driver.createEndpoint(network, state, a)
      assert.ok(w.reaches(undefined, a))
    })
  })

  law('two networks on one sandbox', () =>
    w.withNetwork(async (network, state) => {
      await w.withNetwork(async (other, otherState) => {
        const first = w.endpoint(network, 'a', 2)
        const second = { ...w.endpoint(other, 'a', 2), interface: 'eth1' }
        await w.driver.createEndpoint(network, state, first)
        await w.driver.createEndpoint(other, otherState, second)
        await w.driver.deleteEndpoint(network, first, undefined)
        assert.equal(w.look(first), undefined)
        assert.equal(w.look(second)?.up, true)
      })
    }),
  )

  law('a deleted endpoint is silent at once, and gone soon; twice is no error', () =>
    w.withNetwork(async (network, state) => {
      const [a, b] = [w.endpoint(network, 'a', 2), w.endpoint(network, 'b', 3)]
      const result = await w.driver.createEndpoint(network, state, a)
      await w.driver.createEndpoint(network, state, b)
      assert.ok(w.reaches(b, a))
      const gone = w.driver.deleteEndpoint(network, a, result.state)
      assert.ok(!w.ping(b.netns, addressOf(a)), 'still answers')
      await gone
      assert.equal(w.look(a), undefined)
      await w.driver.deleteEndpoint(network, a, result.state)
    }),
  )

  law('an endpoint whose namespace is gone is deleted without complaint', () =>
    w.withNetwork(async (network, state) => {
      const a = w.endpoint(network, 'a', 2)
      const { state: endpointState } = await w.driver.createEndpoint(network, state, a)
      deleteNetns(a.netns)
      await w.driver.deleteEndpoint(network, a, endpointState)
    }),
  )

  law('a name that is taken in the sandbox is refused, and nothing is left', () =>
    w.withNetwork(async (network, state) => {
      const [a, b] = [w.endpoint(network, 'a', 2), w.endpoint(network, 'a', 3)]
      await w.driver.createEndpoint(network, state, a)
      const links = w.links()
      await assert.rejects(w.driver.createEndpoint(network, state, b), (error) => isKind(error, 'conflict'))
      await w.driver.deleteEndpoint(network, b, undefined)
      assert.deepEqual(w.links(), links)
      assert.equal(w.look(a)?.mac, a.mac, 'the other endpoint is as it was')
    }),
  )

  law('MTU', async (t) => {
    const { mtuOption } = options
    if (mtuOption === undefined) return t.skip('has no such option')
    await w.withNetwork(
      async (network, state) => {
        const a = w.endpoint(network, 'a', 2)
        await w.driver.createEndpoint(network, state, a)
        assert.equal(
          withNetnsLink(a.netns, (link) => link.link(a.interface)?.mtu),
          1400,
        )
      },
      { [mtuOption]: '1400' },
    )
  })

  law('a network without IPv6 gives its endpoints none', () =>
    w.withNetwork(async (network, state) => {
      const plain = { ...network, ipv6: false, subnets: network.subnets.slice(0, 1) }
      const a = { ...w.endpoint(network, 'a', 2), addresses: [w.endpoint(network, 'a', 2).addresses[0] ?? ''] }
      await w.driver.createEndpoint(plain, state, a)
      assert.deepEqual(w.look(a)?.addresses, a.addresses)
    }),
  )
}

function recoveryLaws(w: World): void {
  void it('with nothing to recover changes nothing', async () => {
    const links = w.links()
    const report = await w.driver.recover([])
    assert.deepEqual(report, { networks: [], endpoints: [], failures: [], removed: [] })
    assert.deepEqual(w.links(), links)
  })

  void it('leaves what lives alone', async (t) => {
    if (w.capability('ipam') !== true) return t.skip('holds nothing in the kernel')
    await w.withNetwork(async (network, state) => {
      const a = w.endpoint(network, 'a', 2)
      const result = await w.driver.createEndpoint(network, state, a)
      const [links, index] = [w.links(), w.indexOf(a)]
      await w.restart()
      const report = await w.driver.recover([{ network, state, endpoints: [{ endpoint: a, state: result.state }] }])
      assert.deepEqual(report, { networks: [], endpoints: [], failures: [], removed: [] })
      assert.deepEqual([w.links(), w.indexOf(a)], [links, index])
    })
  })

  void it('removes endpoints that nobody owns', async (t) => {
    if (w.capability('ipam') !== true) return t.skip('holds nothing in the kernel')
    await w.withNetwork(async (network, state) => {
      const links = w.links()
      const a = w.endpoint(network, 'a', 2)
      const result = await w.driver.createEndpoint(network, state, a)
      if (result.hostInterface === undefined) return t.skip('its interfaces end with their namespaces')
      await w.restart()
      const report = await w.driver.recover([{ network, state, endpoints: [] }])
      assert.deepEqual(report.removed, [result.hostInterface])
      assert.deepEqual(w.links(), links)
      assert.equal(w.look(a), undefined)
    })
  })

  void it('makes again what was lost', async (t) => {
    if (w.capability('connectivity') !== 'bridge') return t.skip('no device of its own on the host')
    await w.withNetwork(async (network, state) => {
      const [a, b] = [w.endpoint(network, 'a', 2), w.endpoint(network, 'b', 3)]
      const results = [
        await w.driver.createEndpoint(network, state, a),
        await w.driver.createEndpoint(network, state, b),
      ]
      w.host.deleteLink(w.driver.hostSide(network)?.interface ?? '')
      w.host.deleteLink(results[0]?.hostInterface ?? '')
      await w.restart()
      const endpoints = [a, b].map((endpoint, i) => ({ endpoint, state: results[i]?.state }))
      const report = await w.driver.recover([{ network, state, endpoints }])
      assert.deepEqual(report.failures, [])
      assert.ok(report.endpoints.some((e) => e.id === a.id))
      assert.ok(w.reaches(a, b))
    })
  })
}

/**
 * A process does the whole life of an endpoint and kills itself before its n-th message to the kernel, for every n. Whatever it
 * leaves, a fresh driver either completes it (the service meant to have it) or takes it away (it did not).
 */
function crashLaws(w: World, folder: string): void {
  const child = join(import.meta.dirname, 'network-crash.ts')
  const die = async (network: NetworkSpec, endpoint: EndpointSpec, step: number): Promise<boolean> => {
    const context = JSON.stringify({ folder, engine: w.engine, dir: w.dir, network, endpoint, step })
    const process_ = spawn(process.execPath, [child, context], { stdio: ['ignore', 'inherit', 'inherit'] })
    const [code, signal] = (await once(process_, 'exit')) as [number | null, string | null]
    assert.ok(code === 0 || signal === 'SIGKILL', `child ended with ${code ?? signal}`)
    return signal === 'SIGKILL'
  }

  for (const wanted of [true, false]) {
    void it(wanted ? 'recovery completes it' : 'recovery takes it away', async (t) => {
      if (w.capability('ipam') !== true) return t.skip('holds nothing in the kernel')
      const before = w.links()
      for (let step = 1; ; step++) {
        const network = w.network()
        const endpoint = w.endpoint(network, `crash${step}`, 2)
        const died = await die(network, endpoint, step)
        await w.restart()
        if (wanted) {
          const report = await w.driver.recover([
            { network, state: undefined, endpoints: [{ endpoint, state: undefined }] },
          ])
          assert.deepEqual(report.failures, [], `step ${step}`)
          const state = await w.driver.createNetwork(network)
          await w.driver.createEndpoint(network, state, endpoint)
          assert.equal(w.look(endpoint)?.up, true, `step ${step}`)
          await w.driver.deleteEndpoint(network, endpoint, undefined)
        } else {
          await w.driver.recover([])
        }
        await w.driver.deleteNetwork(network, undefined)
        deleteNetns(endpoint.netns)
        assert.deepEqual(w.links(), before, `left behind at step ${step}`)
        if (!died) {
          assert.ok(step > 1, 'the driver never spoke to the kernel')
          return
        }
      }
    })
  }
}
