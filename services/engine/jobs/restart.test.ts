import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { internal, isKind, unavailable } from '../../../shared/errors/index.ts'
import { hear } from '../facts.ts'
import { World } from '../testing/world.ts'
import { wait } from '../views/wait.ts'
import { remove } from './remove.ts'
import { restart } from './restart.ts'
import { start } from './start.ts'

describe('restart', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(async () => {
    await world.engine.locks.idle()
    await sleep(20)
    await world.close()
  })
  const state = (id: string) => world.engine.containers.get(id)?.state
  const becomes = (id: string, status: string) =>
    world.engine.containers.until(id, (c) => c?.state.status === status, 3000)
  const again = (id: string, instance: string) =>
    world.engine.containers.until(id, (c) => c?.state.status === 'running' && c.state.instance !== instance, 3000)

  it('refuses a container whose removal was begun, and leaves it as it is', async () => {
    const id = await world.create()
    world.fail('storage.rootfs.remove', internal('busy'))
    await assert.rejects(remove(world.engine, { ref: id, force: false, volumes: false }), /busy/)
    assert.equal(state(id)?.status, 'dead')
    for (const again of [() => restart(world.engine, { ref: id }), () => start(world.engine, id)]) {
      await assert.rejects(again(), (e) => isKind(e, 'conflict') && /marked for removal/.test(e.message))
    }
    assert.equal(state(id)?.status, 'dead')
    assert.deepEqual(world.leftovers(), [])
  })

  it('two at once do not remove an AutoRemove container', async () => {
    const id = await world.create('', { HostConfig: { AutoRemove: true } })
    await start(world.engine, id)
    const release = world.hold('storage.rootfs.unmount')
    const first = restart(world.engine, { ref: id })
    const second = restart(world.engine, { ref: id })
    await sleep(20)
    release()
    await Promise.all([first, second])
    assert.equal(state(id)?.status, 'running')
    const third = restart(world.engine, { ref: id })
    await third
    assert.equal(state(id)?.status, 'running')
    assert.ok(!world.actions().includes('destroy'))
  })

  for (const when of ['before', 'after'] as const) {
    it(`the engine dies ${when} the signal: the next one restarts an AutoRemove container`, async () => {
      const id = await world.create('', { HostConfig: { AutoRemove: true } })
      await start(world.engine, id)
      const { instance } = state(id)!
      const dead = world.dieAt('exec.process.signal', when)
      await Promise.race([dead, restart(world.engine, { ref: id })])
      await dead
      await world.boot()
      assert.equal(await again(id, instance), true)
      for (let n = 0; n < 200 && !world.actions().includes('restart'); n++) await sleep(5)
      assert.equal(world.actions().at(-1), 'restart')
      assert.deepEqual(world.engine.jobs.interrupted(), [])
    })
  }

  it('the process ended while the engine was dead: it is started, not removed', async () => {
    const id = await world.create('', { HostConfig: { AutoRemove: true } })
    await start(world.engine, id)
    const { instance } = state(id)!
    const dead = world.dieAt('exec.process.signal', 'before')
    await Promise.race([dead, restart(world.engine, { ref: id })])
    await dead
    world.die(id, 143)
    await world.boot()
    assert.equal(await again(id, instance), true)
    assert.ok(!world.actions().includes('destroy'))
  })

  it('the engine dies after the start: it is not restarted once more', async () => {
    const id = await world.create()
    await start(world.engine, id)
    const dead = world.dieAt('exec.process.run', 'after')
    await Promise.race([dead, restart(world.engine, { ref: id })])
    await dead
    const process = world.processes.get(id)
    await world.boot()
    await world.engine.locks.idle()
    assert.equal(state(id)?.instance, process?.instance)
    assert.equal(state(id)?.status, 'running')
    assert.deepEqual(world.engine.jobs.interrupted(), [])
  })

  it('by policy: a service that is away is waited for, and the container is never seen as exited', async () => {
    const id = await world.create('', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, id)
    const seen = new Set<string>()
    world.engine.containers.watch(id, () => seen.add(state(id)?.status ?? 'gone'))
    world.fail('storage.rootfs.mount', unavailable('away', { details: { timeout: true } }))
    await world.exit(id, 1)
    assert.equal(await becomes(id, 'running'), true)
    assert.deepEqual([...seen], ['restarting', 'running'])
    assert.equal(world.calls.filter((call) => call === 'storage.rootfs.mount').length, 3)
  })

  it('by policy: who waits for the end of a run is answered at that end', async () => {
    const id = await world.create('', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, id)
    const { ticket } = await wait(world.engine, { ref: id, condition: 'not-running' })
    const waiting = wait(world.engine, { ref: id, condition: 'not-running', ticket })
    await world.exit(id, 3)
    assert.deepEqual(await waiting, { done: true, ticket, exitCode: 3 })
    // Who comes while it waits for its restart waits for the next end.
    assert.equal((await wait(world.engine, { ref: id, condition: 'not-running' })).done, false)
  })

  it('a failed start answers nobody who waits for an exit', async () => {
    const id = await world.create()
    const { ticket } = await wait(world.engine, { ref: id, condition: 'next-exit' })
    world.fail('exec.process.run', internal('no luck'))
    await assert.rejects(start(world.engine, id), /no luck/)
    const waiting = wait(world.engine, { ref: id, condition: 'next-exit', ticket })
    await start(world.engine, id)
    await world.exit(id, 4)
    assert.equal((await waiting).exitCode, 4)
  })

  it('an AutoRemove container that could not be removed goes when the service is back', async () => {
    const id = await world.create('', { HostConfig: { AutoRemove: true } })
    await start(world.engine, id)
    world.down.add('storage')
    await world.exit(id, 0)
    await becomes(id, 'dead')
    world.down.delete('storage')
    await hear(world.engine, 'service.ready', { service: 'storage', pid: 2 })
    assert.equal(await world.engine.containers.until(id, (c) => c === undefined, 3000), true)
    assert.equal(world.layers.size, 0)
  })

  it('what policies want back is started with the engine as a whole, not with this service alone', async () => {
    const make = async (name: string, policy: string, more: object = {}) => {
      const RestartPolicy = { Name: policy, MaximumRetryCount: policy === 'on-failure' ? 1 : 0 }
      const id = await world.create(name, { HostConfig: { RestartPolicy }, ...more })
      if (name !== 'new') await start(world.engine, id)
      return id
    }
    const stopped = await Promise.all(['always', 'unless-stopped', 'on-failure', 'no'].map((p) => make(p, p)))
    for (const id of stopped) await world.ask(id, 'container.stop', { ref: id })
    const ended = await make('ended', 'on-failure')
    await world.exit(ended, 0)
    const fresh = await make('new', 'always')
    const temporary = await world.create('tmp', { HostConfig: { AutoRemove: true } })
    await world.engine.locks.idle()
    const all = () => [...stopped, ended, fresh, temporary].map((id) => state(id)?.status)
    const before = ['exited', 'exited', 'exited', 'exited', 'exited', 'created', 'created']
    await world.boot()
    await world.engine.locks.idle()
    assert.deepEqual(all(), before)
    await world.boot('second')
    await Promise.all([becomes(stopped[0]!, 'running'), becomes(stopped[2]!, 'running')])
    await world.engine.locks.idle()
    assert.deepEqual(all(), ['running', 'exited', 'running', 'exited', 'exited', 'created', undefined])
    assert.equal(state(stopped[0]!)?.restartCount, 0)
    await world.ask('again', 'container.stop', { ref: stopped[0]! })
    await world.engine.locks.idle()
    await world.boot('second')
    await sleep(150)
    assert.equal(state(stopped[0]!)?.status, 'exited')
  })
})
