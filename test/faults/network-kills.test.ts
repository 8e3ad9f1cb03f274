import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { type NetworkService, startNetworkService } from '../support/network-service.ts'
import { until } from '../support/until.ts'
import { firewallDifferences } from './network-firewall.ts'

/** GANTRY_TEST_KILLS: how many; GANTRY_TEST_SEED: the same again. */
const KILLS = Number(process.env['GANTRY_TEST_KILLS'] ?? 200)
const SEED = Number(process.env['GANTRY_TEST_SEED'] ?? Date.now() % 1_000_000)

const CLONE_NEWNET = 0x40000000
const engine = 'gkill'
const parent = 'gkillmac0'
const ip = (...args: string[]): string[] =>
  execFileSync('ip', args, { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '')

void it(`nothing is left after ${KILLS} random kills of the network service (seed ${SEED})`, async () => {
  syscallFn('int unshare(int flags)')(CLONE_NEWNET)
  ip('link', 'add', parent, 'up', 'type', 'bridge')
  const dir = mkdtempSync(join(tmpdir(), 'gantry-network-kills-'))
  try {
    let killed = 0
    for (let n = 0; n < KILLS; n++) {
      const step = 1 + ((SEED * 31 + n * 7919) % 500)
      const order = JSON.stringify({ dir, engine, parent, seed: SEED + n, step })
      const child = spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'network-kill-child.ts'), order],
        {
          stdio: ['ignore', 'inherit', 'pipe'],
        },
      )
      let complaints = ''
      child.stderr?.on('data', (text: Buffer) => (complaints += text.toString()))
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
      assert.ok(
        code === 0 || signal === 'SIGKILL',
        `life ${n} (step ${step}) ended with ${code ?? signal}: ${complaints}`,
      )
      assert.equal(complaints, '', `life ${n} (seed ${SEED + n}, step ${step})`)
      if (signal === 'SIGKILL') killed++
    }
    assert.ok(killed > KILLS / 2, `only ${killed} of ${KILLS} were killed`)
    const net = await startNetworkService(dir, engine)
    assert.deepEqual(firewallDifferences(net, engine), [])
    const networks = (await net.call('network.list', { filters: {} })).map((n) => String(n['Name']))
    await net.call('sandbox.reconcile', { keep: [] })
    await net.call('network.prune', { filters: {} })
    checkEvents(net, networks)
    for (const table of ['sandboxes', 'endpoints', 'ports']) {
      assert.deepEqual(net.store.all(`SELECT * FROM ${table}`), [], table)
    }
    assert.deepEqual(net.store.all('SELECT * FROM ipam_addresses WHERE owner IS NOT NULL'), [])
    for (const folder of ['netns', 'sandboxes']) assert.deepEqual(readdirSync(join(dir, 'run', folder)), [], folder)
    await until('only the default bridge is left', 5000, () => {
      assert.deepEqual(
        ip('-o', 'link').map((line) => line.split(': ')[1]?.split('@')[0]),
        ['lo', parent, `${engine}0`],
      )
      return true
    })
    await net.stop()
    assert.ok(!execFileSync('cat', ['/proc/self/mountinfo'], { encoding: 'utf8' }).includes(dir), 'a mount is left')
  } finally {
    for (const line of execFileSync('cat', ['/proc/self/mountinfo'], { encoding: 'utf8' }).split('\n')) {
      const target = line.split(' ')[4]
      if (target?.startsWith(dir)) execFileSync('umount', ['-l', target])
    }
    rmSync(dir, { recursive: true, force: true })
  }
})

/** Every connect is followed by one disconnect, and a network is only made when it was not there: none is lost or told twice. */
function checkEvents(net: NetworkService, networks: readonly string[]): void {
  const connected = new Set<string>()
  const made = new Set<string>()
  for (const { payload } of net.events()) {
    const { Action: action, Actor: actor } = payload
    if (action === 'prune') continue
    const key = action.endsWith('connect') ? `${actor.ID} ${actor.Attributes['container']}` : actor.ID
    const set = action.endsWith('connect') ? connected : made
    if (action === 'connect' || action === 'create') {
      assert.ok(!set.has(key), `${action} of ${key} was told twice`)
      set.add(key)
    } else {
      assert.ok(set.delete(key), `${action} of ${key} without its beginning`)
    }
  }
  assert.deepEqual([...connected], [], 'disconnect was not told')
  assert.deepEqual([...made], [], `destroy was not told (there were ${networks.join(', ')})`)
}
