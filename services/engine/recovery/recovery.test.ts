import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Compile } from 'typebox/compile'
import { Keep } from '../../../shared/contracts/index.ts'
import { internal, isKind, unavailable } from '../../../shared/errors/index.ts'
import { hear } from '../facts.ts'
import { newId } from '../engine.ts'
import { connect, disconnect } from '../jobs/connect.ts'
import { create } from '../jobs/create.ts'
import { pause, unpause } from '../jobs/pause.ts'
import { remove } from '../jobs/remove.ts'
import { rename } from '../jobs/rename.ts'
import { restart } from '../jobs/restart.ts'
import { start } from '../jobs/start.ts'
import { update } from '../jobs/update.ts'
import { World } from '../testing/world.ts'
import { wait } from '../views/wait.ts'

const START_STEPS = [
  'storage.rootfs.mount',
  'network.sandbox.create',
  'cgroup.group.create',
  'exec.process.run',
] as const

describe('faults and recovery', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(() => world.close())
  const status = (id: string) => world.engine.containers.get(id)?.state.status
  const nothingUnderWay = () => assert.deepEqual(world.engine.jobs.interrupted(), [])
  /** Runs work that the engine does not survive. */
  const dies = async (dead: Promise<void>, work: Promise<unknown>) => {
    await Promise.race([dead, work])
    await dead
  }

  for (const step of START_STEPS) {
    it(`start: ${step} fails, all is undone, the container says why`, async () => {
      const id = await world.create()
      world.fail(step, internal('no luck'))
      await assert.rejects(start(world.engine, id), /no luck/)
      assert.deepEqual(world.leftovers(), [])
      assert.equal(status(id), 'created')
      assert.equal(world.engine.containers.get(id)?.state.error, 'no luck')
      assert.equal(world.engine.containers.get(id)?.state.exitCode, 128)
      assert.equal(world.engine.jobs.list(1)[0]?.status, 'failed')
      await start(world.engine, id)
      assert.equal(status(id), 'running')
    })

    for (const when of ['before', 'after'] as const) {
      it(`start: the engine dies ${when} ${step}`, async () => {
        const id = await world.create()
        await dies(world.dieAt(step, when), start(world.engine, id))
        await world.boot()
        nothingUnderWay()
        if (step === 'exec.process.run' && when === 'after') {
          assert.equal(status(id), 'running')
          assert.equal(world.leftovers().length, 4)
          assert.deepEqual(world.actions(), ['create', 'start'])
        } else {
          assert.equal(status(id), 'created')
          assert.deepEqual(world.leftovers(), [])
        }
      })
    }
  }

  it('undo goes on when one of its steps fails, and the job says so', async () => {
    const id = await world.create()
    world.fail('exec.process.run', internal('no luck'))
    world.fail('network.sandbox.delete', internal('busy'))
    await assert.rejects(start(world.engine, id), /no luck/)
    assert.deepEqual(world.leftovers(), [`sandbox ${id}`])
    assert.match(world.engine.jobs.list(1)[0]?.error ?? '', /undo of network.sandbox.create: busy/)
    // The next comparison removes it.
    await hear(world.engine, 'service.ready', { service: 'network', pid: 2 })
    while (world.sandboxes.size > 0) await new Promise((resolve) => setImmediate(resolve))
  })

  it('a step without an answer is undone too', async () => {
    const id = await world.create()
    const timeout = unavailable('the exec service did not answer', { details: { timeout: true } })
    world.fail('exec.process.run', timeout)
    await assert.rejects(start(world.engine, id), (e) => isKind(e, 'unavailable'))
    assert.ok(world.calls.includes('exec.process.delete'))
  })

  it('start: the process ended while the engine was away', async () => {
    const id = await world.create()
    await dies(world.dieAt('exec.process.run', 'after'), start(world.engine, id))
    world.die(id, 6)
    await world.boot()
    await world.engine.containers.until(id, (c) => c?.state.status === 'exited', 2000)
    await world.engine.locks.idle()
    assert.equal(world.engine.containers.get(id)?.state.exitCode, 6)
    assert.deepEqual(world.actions(), ['create', 'start', 'die'])
    assert.deepEqual(world.leftovers(), [])
  })

  for (const when of ['before', 'after'] as const) {
    it(`create: the engine dies ${when} the layer is made; the name is free again`, async () => {
      const request = { id: newId(), name: 'web', body: { Image: 'busybox' } }
      await dies(world.dieAt('storage.rootfs.create', when), create(world.engine, request))
      await world.boot()
      nothingUnderWay()
      assert.equal(world.layers.size, 0)
      await create(world.engine, request)
      assert.equal(status(request.id), 'created')
    })

    for (const step of ['exec.process.purge', 'storage.rootfs.remove'] as const) {
      it(`remove: the engine dies ${when} ${step}; the removal goes on`, async () => {
        const id = await world.create('web')
        await dies(world.dieAt(step, when), remove(world.engine, { ref: id, force: false, volumes: true }))
        await world.boot()
        nothingUnderWay()
        assert.equal(status(id), undefined)
        assert.equal(world.layers.size, 0)
        assert.deepEqual(world.actions(), ['create', 'destroy'])
      })
    }

    it(`exit: the engine dies ${when} taking the network away; the clean-up goes on, told once`, async () => {
      const id = await world.create('web', { HostConfig: { AutoRemove: true } })
      const { ticket } = await wait(world.engine, { ref: id, condition: 'removed' })
      await start(world.engine, id)
      const dead = world.dieAt('network.sandbox.delete', when)
      await dies(
        dead,
        world.exit(id, 9).then(() => dead),
      )
      await world.boot()
      nothingUnderWay()
      assert.deepEqual(world.leftovers(), [])
      assert.equal(world.layers.size, 0)
      assert.deepEqual(world.actions(), ['create', 'start', 'die', 'destroy'])
      // A wait that began before is answered after.
      assert.deepEqual(await wait(world.engine, { ref: id, condition: 'removed', ticket }), {
        done: true,
        ticket,
        exitCode: 9,
      })
    })

    it(`rename: the engine dies ${when} the network knows; the old name stays`, async () => {
      const id = await world.create('old')
      await start(world.engine, id)
      await dies(world.dieAt('network.sandbox.rename', when), rename(world.engine, 'old', 'new'))
      await world.boot()
      nothingUnderWay()
      assert.equal(world.engine.containers.find('old').id, id)
      await world.create('new')
    })

    it(`pause: the engine dies ${when} freezing; it runs`, async () => {
      const id = await world.create()
      await start(world.engine, id)
      await dies(world.dieAt('cgroup.group.freeze', when), pause(world.engine, id))
      await world.boot()
      nothingUnderWay()
      assert.equal(status(id), 'running')
      assert.equal(world.groups.get(id)?.frozen, false)
    })

    it(`unpause: the engine dies ${when} thawing; it is paused`, async () => {
      const id = await world.create()
      await start(world.engine, id)
      await pause(world.engine, id)
      await dies(world.dieAt('cgroup.group.thaw', when), unpause(world.engine, id))
      await world.boot()
      assert.equal(status(id), 'paused')
      assert.equal(world.groups.get(id)?.frozen, true)
    })

    it(`update: the engine dies ${when} the limits are set; they are as before, and who asks again has them`, async () => {
      const id = await world.create('uu', { HostConfig: { CpuShares: 5 } })
      await start(world.engine, id)
      await dies(world.dieAt('cgroup.group.update', when), update(world.engine, id, { CpuShares: 7, PidsLimit: 3 }))
      await world.boot()
      nothingUnderWay()
      const limits = () => ({ ...world.groups.get(id)?.limits })
      assert.deepEqual([limits().CpuShares, limits().PidsLimit], [5, undefined])
      assert.equal(world.engine.containers.get(id)?.hostConfig.CpuShares, 5)
      await update(world.engine, id, { CpuShares: 7, PidsLimit: 3 })
      assert.deepEqual([limits().CpuShares, limits().PidsLimit], [7, 3])
      assert.equal(world.actions().filter((action) => action === 'update').length, 1)
    })

    it(`connect: the engine dies ${when} the endpoint is made; it is not connected`, async () => {
      const id = await world.create()
      await start(world.engine, id)
      const connecting = connect(world.engine, { network: 'net1', container: id, config: {} })
      await dies(world.dieAt('network.endpoint.connect', when), connecting)
      await world.boot()
      nothingUnderWay()
      assert.deepEqual(Object.keys(world.engine.containers.get(id)?.endpoints ?? {}), ['bridge'])
      assert.deepEqual(world.sandboxes.get(id)?.connected, ['bridge'])
    })

    it(`disconnect: the engine dies ${when} the endpoint is gone; it is disconnected`, async () => {
      const id = await world.create()
      await start(world.engine, id)
      await connect(world.engine, { network: 'net1', container: id, config: {} })
      const leaving = disconnect(world.engine, { network: 'net1', container: id, force: false })
      await dies(world.dieAt('network.endpoint.disconnect', when), leaving)
      await world.boot()
      assert.deepEqual(Object.keys(world.engine.containers.get(id)?.endpoints ?? {}), ['bridge'])
      assert.deepEqual(world.sandboxes.get(id)?.connected, ['bridge'])
    })
  }

  it('restart: the engine dies between stop and start; the container runs again', async () => {
    const id = await world.create()
    await start(world.engine, id)
    await dies(world.dieAt('storage.rootfs.mount', 'before'), restart(world.engine, { ref: id }))
    await world.boot()
    nothingUnderWay()
    assert.equal(status(id), 'running')
  })

  it('prune: while it goes on, what services are told to keep is containers alone', async () => {
    await world.create()
    const pruned = world.verbs['container.prune']({ filters: {} }, { verb: '', job: undefined, traceparent: undefined })
    await dies(world.dieAt('storage.rootfs.remove', 'before'), pruned)
    world.requests.splice(0)
    await world.boot()
    nothingUnderWay()
    const told = world.requests.filter(({ verb }) => verb.endsWith('.reconcile'))
    assert.equal(told.length, 4)
    const form = Compile(Keep)
    for (const { request } of told) assert.ok(form.Check(request), JSON.stringify(request))
  })

  it('a failed connect leaves the other networks as they were', async () => {
    const id = await world.create()
    await start(world.engine, id)
    world.fail('network.endpoint.connect', internal('no address'))
    await assert.rejects(connect(world.engine, { network: 'net1', container: id, config: {} }), /no address/)
    assert.deepEqual(Object.keys(world.engine.containers.get(id)?.endpoints ?? {}), ['bridge'])
    world.failAfter('network.endpoint.connect', unavailable('no answer'))
    await assert.rejects(connect(world.engine, { network: 'net1', container: id, config: {} }), /no answer/)
    assert.deepEqual(Object.keys(world.engine.containers.get(id)?.endpoints ?? {}), ['bridge'])
    assert.deepEqual(world.sandboxes.get(id)?.connected, ['bridge'], 'what was made without an answer is taken back')
  })

  it('a connect is to the network in its path, whatever id the client has copied into the settings', async () => {
    const id = await world.create()
    await start(world.engine, id)
    await disconnect(world.engine, { network: 'bridge', container: id, force: false })
    const config = { NetworkID: 'id-of-net1' }
    await connect(world.engine, { network: 'bridge', container: id, config })
    assert.deepEqual(world.sandboxes.get(id)?.connected, ['bridge'])
    await connect(world.engine, { network: 'net2', container: id, config })
    assert.deepEqual(world.sandboxes.get(id)?.connected, ['bridge', 'id-of-net2'])
  })

  it('running containers are adopted; ends and losses while away are recorded', async () => {
    const [runs, ended, lost] = [await world.create(), await world.create(), await world.create()]
    for (const id of [runs, ended, lost]) await start(world.engine, id)
    world.die(ended, 6)
    world.processes.delete(lost)
    await world.boot()
    await world.engine.locks.idle()
    assert.equal(status(runs), 'running')
    assert.equal(world.engine.containers.get(ended)?.state.exitCode, 6)
    assert.equal(world.engine.containers.get(lost)?.state.exitCode, 255)
    assert.equal(world.leftovers().length, 4)
  })

  it('the fact of an end that recovery saw changes nothing when it comes', async () => {
    const id = await world.create()
    await start(world.engine, id)
    const process = world.die(id, 6)!
    await world.boot()
    await world.engine.locks.idle()
    await world.tellExit(id, process)
    assert.deepEqual(
      world.actions().filter((a) => a === 'die'),
      ['die'],
    )
  })

  it('what nobody owns is removed; what a start is just making is not', async () => {
    const id = await world.create()
    const release = world.hold('exec.process.run')
    const starting = start(world.engine, id)
    await new Promise((resolve) => setTimeout(resolve, 20))
    world.groups.set('f'.repeat(64), { frozen: false, oom: false, limits: {} })
    world.layers.set('f'.repeat(64), { mounted: true })
    for (const service of ['storage', 'network', 'cgroup', 'exec'])
      await hear(world.engine, 'service.ready', { service, pid: 2 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    release()
    await starting
    assert.equal(world.leftovers().length, 4)
    assert.equal(status(id), 'running')
  })

  it('a process of a container that does not run is ended', async () => {
    const id = await world.create()
    world.processes.set(id, { instance: 'x', pid: 1, status: 'running', startedAt: '' })
    await world.boot()
    assert.deepEqual(world.leftovers(), [])
  })

  it('a service that is down does not keep the engine from starting; a request waits for it a while', async () => {
    const id = await world.create()
    world.down.add('network')
    await world.boot()
    const starting = start(world.engine, id)
    setTimeout(() => world.down.delete('network'), 60)
    await starting
    assert.equal(status(id), 'running')
    world.down.add('cgroup')
    await assert.rejects(pause(world.engine, id), (e) => isKind(e, 'unavailable'))
    assert.equal(status(id), 'running')
  })

  it('a request that a dying service swallowed is sent again when its successor is ready', async () => {
    const id = await world.create()
    void world.hold('exec.process.run')
    const starting = start(world.engine, id)
    while (!world.calls.includes('exec.process.run')) await new Promise((resolve) => setImmediate(resolve))
    await hear(world.engine, 'service.ready', { service: 'exec', pid: 2 })
    await starting
    assert.equal(status(id), 'running')
  })

  it('a container that waits for its restart is started by the next engine', async () => {
    const id = await world.create('al', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, id)
    await world.exit(id, 1)
    world.engine.restarter.stop()
    await world.boot()
    assert.equal(await world.engine.containers.until(id, (c) => c?.state.status === 'running', 2000), true)
  })
})
