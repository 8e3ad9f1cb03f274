import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import { isKind } from '../../shared/errors/index.ts'
import { Nft, NftError } from '../../shared/kernel/nft.ts'
import { type NetworkService, newId, on, sandbox, startNetworkService } from '../support/network-service.ts'
import { Testbed } from '../support/network-testbed.ts'
import { until } from '../support/until.ts'

/** The network service on a kernel that takes no firewall table. */
const bed = new Testbed()
const REASON = 'Could not process rule: Operation not supported'
let net: NetworkService
let run: { mock: { restore(): void } } | undefined

const breakFirewall = (): void => {
  run ??= mock.method(Nft.prototype, 'run', (script: string) => {
    throw new NftError(script, REASON)
  })
}
const mendFirewall = (): void => {
  run?.mock.restore()
  run = undefined
}
const isUnavailable = (error: unknown): boolean =>
  isKind(error, 'unavailable') && (error as Error).message.includes(REASON)
const bridge = () => net.running.drivers().find((driver) => driver.name === 'bridge')
const network = (name: string, spec: object = {}): Promise<unknown> =>
  net.call('network.create', { id: newId(), spec: { Name: name, ...spec } })
const restart = async (): Promise<void> => {
  await net.stop()
  net = await startNetworkService(bed.dir, 'gtest')
}
/** Makes a sandbox and takes it away again. */
const works = async (more: Parameters<typeof sandbox>[1]): Promise<void> => {
  const request = sandbox('probe', more)
  await net.call('sandbox.create', request)
  await net.call('sandbox.delete', { id: request.id })
}

before(async () => {
  breakFirewall()
  net = await startNetworkService(bed.dir, 'gtest')
})

afterEach(mendFirewall)

after(async () => {
  await net.call('sandbox.reconcile', { keep: [] })
  await net.stop()
  bed.close()
})

describe('without a firewall', () => {
  it('the first start ends well: other networks work, bridge networks say why they do not', async () => {
    breakFirewall()
    assert.ok(net.running.warnings().some((w) => w.startsWith('no bridge networks') && w.includes(REASON)))
    assert.equal(bridge()?.usable, false)
    assert.match(bridge()?.reason ?? '', new RegExp(REASON))
    await assert.rejects(network('one'), isUnavailable)
    const networks = await net.call('network.list', { filters: {} })
    assert.deepEqual(
      networks.map((n) => n['Name']),
      ['none', 'host'],
    )
    await works({ mode: { kind: 'none' } })
    await works({ mode: { kind: 'host' } })
  })

  it('it is there as soon as somebody asks for it and it can be had', async () => {
    await network('one')
    await works({ endpoints: [on('one')] })
    assert.equal(bridge()?.usable, true)
    assert.deepEqual(
      net.running.warnings().filter((w) => w.startsWith('no bridge networks')),
      [],
    )
  })

  it('nobody comes onto a network that was made before; who is on it can leave', async () => {
    await restart()
    const ports = [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 17080 }] as const
    const stays = sandbox('stays', { endpoints: [on('one')], ports: [...ports] })
    const info = await net.call('sandbox.create', stays)
    breakFirewall()
    await restart()
    await assert.rejects(works({ endpoints: [on('one')] }), isUnavailable)
    assert.deepEqual(await net.call('sandbox.inspect', { id: stays.id }), info)
    await net.call('sandbox.delete', { id: stays.id })
    await net.call('network.remove', { ref: 'one' })
    await assert.rejects(net.call('network.inspect', { ref: 'one' }))
  })

  it('it is tried again without being asked', async () => {
    breakFirewall()
    await restart()
    assert.equal(bridge()?.usable, false)
    mendFirewall()
    await until('the firewall is there', 5000, () => bridge()?.usable === true)
    assert.match(bed.run('nft list table inet gantry-gtest'), /chain forward/)
    await network('two')
    await works({ endpoints: [on('two')] })
    await net.call('network.remove', { ref: 'two' })
  })
})
