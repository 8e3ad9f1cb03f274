import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { internal, isKind, unavailable } from '../../../shared/errors/index.ts'
import { newId } from '../engine.ts'
import { World } from '../testing/world.ts'

type Verb = Parameters<World['ask']>[1]

/** A request, what must be there before, the calls to the lower services at which the engine dies, and how things are after it. */
interface Case {
  readonly name: string
  readonly verb: Verb
  readonly body?: (id: string) => object
  readonly container?: Record<string, unknown>
  readonly running?: boolean
  readonly prepare?: (world: World, id: string) => Promise<unknown>
  readonly steps: readonly string[]
  readonly reply?: (id: string) => unknown
  /** The container's status afterwards; undefined: it is gone. */
  readonly status: string | undefined
  /** Events that are told exactly once. */
  readonly once: readonly string[]
}

const AUTO_REMOVE = { HostConfig: { AutoRemove: true } }
const TEARDOWN = ['exec.process.delete', 'network.sandbox.delete', 'cgroup.group.delete', 'storage.rootfs.unmount']
const DEMOLITION = ['exec.process.purge', 'network.sandbox.delete', 'cgroup.group.delete', 'storage.rootfs.remove']
const START = ['storage.rootfs.mount', 'network.sandbox.create', 'cgroup.group.create', 'exec.process.run']
const NAMES = { ref: 'web' }
const EXEC = 'e'.repeat(64)

const CASES: readonly Case[] = [
  { name: 'start', verb: 'container.start', steps: START, status: 'running', once: ['start'] },
  {
    ...{ name: 'start of one with AutoRemove', verb: 'container.start', container: AUTO_REMOVE, steps: START },
    ...{ status: 'running', once: ['start'] },
  },
  {
    ...{ name: 'stop', verb: 'container.stop', running: true, steps: ['exec.process.signal', ...TEARDOWN] },
    ...{ status: 'exited', once: ['kill', 'die', 'stop'] },
  },
  {
    ...{ name: 'stop of one with AutoRemove', verb: 'container.stop', running: true, container: AUTO_REMOVE },
    ...{ steps: ['exec.process.signal', ...DEMOLITION], status: undefined, once: ['kill', 'die', 'destroy'] },
  },
  {
    ...{ name: 'kill', verb: 'container.kill', body: () => ({ ...NAMES, signal: '' }), running: true },
    ...{ steps: ['exec.process.signal'], status: 'exited', once: ['kill', 'die'] },
  },
  {
    ...{ name: 'kill of one with AutoRemove', verb: 'container.kill', body: () => ({ ...NAMES, signal: 'KILL' }) },
    ...{ running: true, container: AUTO_REMOVE, steps: ['exec.process.signal', ...DEMOLITION] },
    ...{ status: undefined, once: ['kill', 'die', 'destroy'] },
  },
  {
    ...{ name: 'a signal that ends nothing', verb: 'container.kill', body: () => ({ ...NAMES, signal: 'HUP' }) },
    ...{ running: true, steps: ['exec.process.signal'], status: 'running', once: ['kill'] },
  },
  {
    ...{ name: 'restart', verb: 'container.restart', running: true, status: 'running' },
    ...{ steps: ['exec.process.signal', ...TEARDOWN, ...START], once: ['kill', 'die', 'restart'] },
  },
  {
    ...{ name: 'rm', verb: 'container.remove', steps: DEMOLITION, status: undefined, once: ['destroy'] },
    ...{ body: () => ({ ...NAMES, force: false, volumes: true, link: false }) },
  },
  {
    ...{ name: 'rm -f', verb: 'container.remove', running: true, status: undefined, once: ['kill', 'die', 'destroy'] },
    ...{ body: () => ({ ...NAMES, force: true, volumes: true, link: false }) },
    ...{ steps: ['exec.process.signal', ...DEMOLITION] },
  },
  {
    ...{ name: 'prune', verb: 'container.prune', body: () => ({ filters: {} }), steps: DEMOLITION, status: undefined },
    ...{ reply: (id: string) => ({ ContainersDeleted: [id], SpaceReclaimed: 1 }), once: ['destroy', 'prune'] },
  },
  {
    ...{ name: 'pause', verb: 'container.pause', running: true, steps: ['cgroup.group.freeze'] },
    ...{ status: 'paused', once: ['pause'] },
  },
  {
    ...{ name: 'rename', verb: 'container.rename', body: () => ({ ...NAMES, name: 'new' }), running: true },
    ...{ steps: ['network.sandbox.rename'], status: 'running', once: ['rename'] },
  },
  {
    ...{ name: 'update', verb: 'container.update', body: () => ({ ...NAMES, body: { CpuShares: 7 } }), running: true },
    ...{ steps: ['cgroup.group.update'], reply: () => ({ warnings: [] }), status: 'running', once: ['update'] },
  },
  {
    ...{ name: 'network connect', verb: 'network.connect', running: true, steps: ['network.endpoint.connect'] },
    ...{ body: () => ({ network: 'net1', container: 'web', config: {} }), status: 'running', once: [] },
  },
  {
    ...{ name: 'network disconnect', verb: 'network.disconnect', running: true, status: 'running', once: [] },
    ...{ body: () => ({ network: 'bridge', container: 'web', force: false }) },
    ...{ steps: ['network.endpoint.disconnect'] },
  },
  {
    ...{ name: 'exec start', verb: 'exec.start', running: true, steps: ['exec.session.start'], status: 'running' },
    prepare: (world) => world.ask('x', 'exec.create', { id: EXEC, ref: 'web', body: { Cmd: ['true'] } }),
    ...{ body: () => ({ id: EXEC, detach: false, tty: false }), once: ['exec_start: true'] },
    reply: () => ({ tty: false, stream: { address: 'unix:/x', ticket: 't' } }),
  },
]

describe('a request that is sent again, since the engine died', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(() => world.close())

  for (const c of CASES) {
    const prepare = async (): Promise<string> => {
      const id = await world.create('web', c.container)
      if (c.running) await world.ask('s', 'container.start', { ref: id })
      await c.prepare?.(world, id)
      return id
    }
    const ask = (id: string) => world.ask('r', c.verb, c.body?.(id) ?? NAMES)
    const check = async (id: string, reply: unknown) => {
      await world.engine.locks.idle()
      assert.deepEqual(reply, c.reply?.(id) ?? {})
      assert.equal(world.engine.containers.get(id)?.state.status, c.status)
      assert.deepEqual(world.engine.jobs.interrupted(), [])
      for (const action of c.once) {
        const told = world.actions().filter((a) => a === action)
        assert.equal(told.length, 1, `${action} in ${world.actions().join(', ')}`)
      }
      assert.equal(new Set(world.signals).size, world.signals.length)
      assert.deepEqual(await ask(id), reply, 'and once more')
    }

    it(`${c.name}: after it had answered`, async () => {
      const id = await prepare()
      await ask(id)
      await world.engine.locks.idle()
      await world.boot()
      await check(id, await ask(id))
    })

    for (const step of c.steps) {
      for (const when of ['before', 'after'] as const) {
        it(`${c.name}: ${when} ${step}`, async () => {
          const id = await prepare()
          const dead = world.dieAt(step, when)
          await Promise.race([dead, ask(id)])
          await dead
          await world.boot()
          await check(id, await ask(id))
        })
      }
    }
  }

  it('create: one container, with the same warnings, however far it had come', async () => {
    const body = { Image: 'busybox', HostConfig: { NetworkMode: 'host', PortBindings: { '80/tcp': [{}] } } }
    const request = { id: newId(), name: 'web', body }
    const reply = { id: request.id, warnings: ['Published ports are discarded when using host network mode'] }
    for (const when of ['before', 'after'] as const) {
      const dead = world.dieAt('storage.rootfs.create', when)
      await Promise.race([dead, world.ask('c', 'container.create', request)])
      await dead
      await world.boot()
    }
    assert.deepEqual(await world.ask('c', 'container.create', request), reply)
    await world.boot()
    assert.deepEqual(await world.ask('c', 'container.create', request), reply)
    assert.equal(world.engine.containers.all().length, 1)
    assert.equal(world.layers.size, 1)
  })

  it('its failure is told again, also when nothing is left to ask about', async () => {
    const id = await world.create('web', AUTO_REMOVE)
    world.fail('exec.process.run', internal('no such command', { details: { exitCode: 127 } }))
    const refused = (error: unknown) => isKind(error, 'invalid') && error.details?.['exitCode'] === 127
    await assert.rejects(world.ask('r', 'container.start', { ref: id }), refused)
    assert.equal(world.engine.containers.get(id), undefined)
    await world.boot()
    await assert.rejects(world.ask('r', 'container.start', { ref: id }), refused)
    await assert.rejects(world.ask('other', 'container.start', { ref: id }), (e) => isKind(e, 'not-found'))
  })

  it('a failure for which a service was away is none', async () => {
    const id = await world.create('web')
    world.fail('exec.process.run', unavailable('exec did not answer', { details: { timeout: true } }))
    await assert.rejects(world.ask('r', 'container.start', { ref: id }), (e) => isKind(e, 'unavailable'))
    assert.deepEqual(await world.ask('r', 'container.start', { ref: id }), {})
  })

  it('while the first is being done, it waits with that', async () => {
    const id = await world.create('web')
    const release = world.hold('exec.process.run')
    const both = [1, 2].map(() => world.ask('r', 'container.start', { ref: id }))
    release()
    assert.deepEqual(await Promise.all(both), [{}, {}])
    assert.deepEqual(world.actions(), ['create', 'start'])
    await assert.rejects(world.ask('other', 'container.start', { ref: id }), (e) => isKind(e, 'not-modified'))
  })

  it('a stop goes on after the engine that was told to end has ended, with the patience that is left', async () => {
    const id = await world.create('web', AUTO_REMOVE)
    await world.ask('s', 'container.start', { ref: id })
    world.fatal = new Set([9])
    const first = world.ask('r', 'container.stop', { ref: id, timeout: 1 })
    while (world.actions().at(-1) !== 'kill') await new Promise((resolve) => setImmediate(resolve))
    world.engine.stopping.abort()
    await assert.rejects(first, (e) => isKind(e, 'unavailable') && e.details?.['draining'] === true)
    await world.boot()
    assert.deepEqual(await world.ask('r', 'container.stop', { ref: id, timeout: 1 }), {})
    await world.engine.locks.idle()
    assert.deepEqual(world.actions(), ['create', 'start', 'kill', 'kill', 'die', 'stop', 'destroy'])
  })

  it('an exec that ran, but was not recorded, is found when its client does not ask again', async () => {
    await world.ask('s', 'container.start', { ref: await world.create('web') })
    await world.ask('x', 'exec.create', { id: EXEC, ref: 'web', body: { Cmd: ['true'] } })
    const dead = world.dieAt('exec.session.start', 'after')
    await Promise.race([dead, world.ask('r', 'exec.start', { id: EXEC, detach: true, tty: false })])
    await dead
    Object.assign(world.sessions.get(EXEC)!, { running: false, exitCode: 3 })
    await world.boot()
    const { status, exitCode } = world.engine.execs.find(EXEC)
    assert.deepEqual({ status, exitCode }, { status: 'ended', exitCode: 3 })
    assert.deepEqual(world.actions().slice(-2), ['exec_start: true', 'exec_die'])
  })
})
