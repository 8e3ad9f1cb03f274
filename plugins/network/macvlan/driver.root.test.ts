import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { NetworkSpec } from '../../../shared/drivers/index.ts'
import { syscallFn } from '../../../shared/kernel/libc.ts'
import { RtNetlink } from '../../../shared/kernel/rtnetlink.ts'
import { createLogger } from '../../../shared/log/index.ts'
import { MacvlanDriver } from './driver.ts'

const CLONE_NEWNET = 0x40000000
const PARENT = 'par0.50'
const log = createLogger('test', 'silent')
const newDriver = (): MacvlanDriver => new MacvlanDriver({ log, engine: 'gtest', stateDir: '', runDir: '' })

const network = (digit: string): NetworkSpec => ({
  id: digit.repeat(64),
  name: digit,
  subnets: [],
  internal: false,
  ipv6: false,
  options: { parent: PARENT },
})

/** A veth stands for the VLAN, which not every kernel has: the driver knows what it made by the alias. */
void describe('a parent that the driver made for several networks', () => {
  let host: RtNetlink
  let driver: MacvlanDriver
  const make = (alias: string): void => {
    host.newLink({ name: PARENT }, { kind: 'veth', peer: { name: 'far0' } })
    host.setLink(PARENT, { alias })
  }
  before(() => {
    syscallFn('int unshare(int flags)')(CLONE_NEWNET)
    host = new RtNetlink()
    driver = newDriver()
  })
  after(async () => {
    await driver.close()
    host.close()
  })
  const [a, b] = [network('a'), network('b')]

  void it('goes with the last of them, whichever that is', async () => {
    for (const [first, second] of [
      [a, b],
      [b, a],
    ] as const) {
      make(`gtest:${'a'.repeat(8)}`)
      for (const one of [a, b, b]) await driver.createNetwork(one)
      await driver.deleteNetwork(first)
      assert.ok(host.link(PARENT), 'the other one uses it')
      await driver.deleteNetwork(first)
      assert.ok(host.link(PARENT), 'deleted twice')
      await driver.deleteNetwork(second)
      assert.equal(host.link(PARENT), undefined)
    }
  })

  void it('is known to a driver that was started after they were made', async () => {
    make(`gtest:${'a'.repeat(64)}`)
    await driver.createNetwork(b)
    await driver.close()
    driver = newDriver()
    await driver.deleteNetwork(a)
    assert.ok(host.link(PARENT))
    await driver.deleteNetwork(b)
    assert.equal(host.link(PARENT), undefined)
  })

  void it('stays when the user, or another engine, made it', async () => {
    for (const alias of ['', 'uplink', `gtest2:${'a'.repeat(8)}`]) {
      make(alias)
      await driver.createNetwork(a)
      await driver.deleteNetwork(a)
      assert.equal(host.link(PARENT)?.alias, alias)
      host.deleteLink(PARENT)
    }
  })
})
