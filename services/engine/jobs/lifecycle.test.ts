import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { GantryError, internal, invalid, isKind, notFound, type ErrorKind } from '../../../shared/errors/index.ts'
import { World } from '../testing/world.ts'
import { connect } from './connect.ts'
import { create } from './create.ts'
import { kill } from './kill.ts'
import { pause, unpause } from './pause.ts'
import { prune } from './prune.ts'
import { remove } from './remove.ts'
import { rename } from './rename.ts'
import { restart } from './restart.ts'
import { start } from './start.ts'
import { stop } from './stop.ts'
import { createExec } from '../execs/sessions.ts'
import { hear } from '../facts.ts'
import { update } from './update.ts'
import { wait } from '../views/wait.ts'
import { newId } from '../engine.ts'

const kindOf = (kind: ErrorKind, message?: RegExp) => (error: unknown) => {
  assert.ok(isKind(error, kind), `want ${kind}, got ${error instanceof GantryError ? error.kind : String(error)}`)
  if (message) assert.match(error.message, message)
  return true
}

describe('the life of a container', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(() => world.close())
  const status = (id: string) => world.engine.containers.get(id)?.state.status
  const gone = (id: string) => world.engine.containers.until(id, (c) => c === undefined, 2000)
  const idle = () => world.engine.locks.idle()

  it('goes from create over start and exit to remove, and tells of it', async () => {
    const id = await world.create('web')
    assert.equal(status(id), 'created')
    await start(world.engine, 'web')
    assert.equal(status(id), 'running')
    await world.exit(id, 3)
    assert.equal(status(id), 'exited')
    assert.equal(world.engine.containers.get(id)?.state.exitCode, 3)
    await idle()
    assert.deepEqual(world.leftovers(), [])
    await remove(world.engine, { ref: 'web', force: false, volumes: false })
    assert.deepEqual(world.actions(), ['create', 'start', 'die', 'destroy'])
    assert.equal(world.events()[2]?.attributes['exitCode'], '3')
    assert.equal(world.layers.size, 0)
  })

  it('asks storage, network and cgroup in parallel', async () => {
    const id = await world.create()
    const release = [
      world.hold('storage.rootfs.mount'),
      world.hold('network.sandbox.create'),
      world.hold('cgroup.group.create'),
    ]
    world.calls = []
    const starting = start(world.engine, id)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual([...world.calls].sort(), ['cgroup.group.create', 'network.sandbox.create', 'storage.rootfs.mount'])
    for (const go of release) go()
    await starting
    assert.equal(status(id), 'running')
  })

  it('carries the replies of mount, sandbox and cgroup into the run', async () => {
    const id = await world.create('c1', { Cmd: ['echo', 'hi'], Env: ['A=1', 'PATH=/x'], Hostname: 'box', Tty: true })
    await start(world.engine, id)
    const run = world.requests.find((r) => r.verb === 'exec.process.run')?.request as Record<string, unknown>
    assert.equal(run['rootfs'], `/rootfs/${id}`)
    assert.equal(run['netns'], `/netns/${id}`)
    assert.equal(run['cgroupsPath'], `/gtest/${id}`)
    assert.equal(run['hostname'], 'box')
    const process = run['process'] as { args: string[]; env: string[] }
    assert.deepEqual(process.args, ['echo', 'hi'])
    assert.deepEqual(process.env, ['A=1', 'PATH=/x'])
  })

  it('a second start is not-modified, and a start of a removed one is not-found', async () => {
    const id = await world.create()
    await start(world.engine, id)
    await assert.rejects(start(world.engine, id), kindOf('not-modified'))
    await assert.rejects(start(world.engine, 'nope'), kindOf('not-found', /No such container: nope/))
  })

  it('names are taken once, by whoever comes first', async () => {
    const id = await world.create('web')
    await assert.rejects(
      world.create('/web'),
      kindOf('conflict', new RegExp(`The container name "/web" is already in use by container "${id}"`)),
    )
    await assert.rejects(world.create('a b'), kindOf('invalid', /Invalid container name \(a b\)/))
    const invented = await world.create()
    assert.match(world.engine.containers.get(invented)?.name ?? '', /^[a-z]+_[a-z]+$/)
  })

  it('is found by name, full id and unique prefix', async () => {
    const id = await world.create('web')
    const { containers } = world.engine
    assert.equal(containers.find(id).name, 'web')
    assert.equal(containers.find('/web').id, id)
    assert.equal(containers.find(id.slice(0, 12)).id, id)
    const twin = `${id.slice(0, 32)}${'0'.repeat(32)}`
    await create(world.engine, { id: twin, name: '', body: { Image: 'busybox' } })
    assert.throws(() => containers.find(id.slice(0, 8)), kindOf('invalid', /multiple IDs found with provided prefix/))
  })

  it('create with the same id again returns what is there', async () => {
    const id = newId()
    const request = { id, name: 'x1', body: { Image: 'busybox' } }
    await create(world.engine, request)
    assert.deepEqual(await create(world.engine, request), { id, warnings: [] })
    assert.equal(world.actions().length, 1)
  })

  it('bad input changes nothing', async () => {
    for (const body of [
      { HostConfig: { Memory: 'x' } },
      { HostConfig: { UsernsMode: 'private' } },
      { WorkingDir: 'x' },
    ]) {
      await assert.rejects(world.create('web', body))
    }
    await assert.rejects(world.create('web', { Image: 'nope' }), kindOf('not-found', /No such image: nope/))
    await assert.rejects(
      world.create('web', { HostConfig: { Links: ['nope'] } }),
      kindOf('invalid', /No such container: nope/),
    )
    await assert.rejects(
      world.create('web', { HostConfig: { VolumesFrom: ['nope'] } }),
      kindOf('invalid', /No such container: nope/),
    )
    assert.equal(world.layers.size, 0)
    assert.deepEqual(world.actions(), [])
    await world.create('web')
  })

  it('a network or container that is not there is found missing by the start', async () => {
    const hostConfigs: [Record<string, string>, RegExp][] = [
      [{ NetworkMode: 'container:nope' }, /No such container: nope/],
      [{ NetworkMode: 'nope' }, /network nope not found/],
      [{ PidMode: 'container:nope' }, /No such container: nope/],
    ]
    for (const [HostConfig, message] of hostConfigs) {
      const id = await world.create('', { HostConfig })
      await assert.rejects(start(world.engine, id), kindOf('not-found', message))
      assert.equal(status(id), 'created')
    }
    assert.deepEqual(world.leftovers(), [])
  })

  it('AutoRemove removes after the exit; who waits for it gets the exit code', async () => {
    const id = await world.create('tmp', { HostConfig: { AutoRemove: true } })
    const { ticket } = await wait(world.engine, { ref: id, condition: 'removed' })
    await start(world.engine, id)
    const waiting = wait(world.engine, { ref: id, condition: 'removed', ticket })
    await world.exit(id, 7)
    const result = await waiting
    assert.equal(result.done, true)
    assert.equal(result.exitCode, 7)
    await idle()
    assert.equal(world.layers.size, 0)
    assert.deepEqual(world.leftovers(), [])
    assert.deepEqual(world.actions(), ['create', 'start', 'die', 'destroy'])
  })

  it('next-exit fires once the exit is recorded, before the clean-up is over', async () => {
    const id = await world.create()
    await start(world.engine, id)
    const { done, ticket } = await wait(world.engine, { ref: id, condition: 'next-exit' })
    assert.equal(done, false)
    const release = world.hold('network.sandbox.delete')
    const waiting = wait(world.engine, { ref: id, condition: 'next-exit', ticket })
    void world.exit(id, 5)
    assert.equal((await waiting).exitCode, 5)
    // A start now waits for the clean-up.
    const again = start(world.engine, id)
    assert.equal(status(id), 'exited')
    release()
    await again
    assert.equal(status(id), 'running')
    assert.deepEqual(world.leftovers().length, 4)
  })

  it('wait: a container that does not run is done at once', async () => {
    const id = await world.create()
    assert.equal((await wait(world.engine, { ref: id, condition: 'not-running' })).done, true)
  })

  it('stop sends the signal and waits; kill, die, stop are told in that order', async () => {
    const id = await world.create('s1', { StopSignal: 'SIGTERM' })
    await start(world.engine, id)
    await stop(world.engine, { ref: id })
    assert.equal(status(id), 'exited')
    assert.deepEqual(world.actions().slice(2), ['kill', 'die', 'stop'])
    await assert.rejects(stop(world.engine, { ref: id }), kindOf('not-modified'))
  })

  it('a stop with another signal is a stop: no policy starts it again, and a paused one is let go', async () => {
    world.fatal.add(2)
    const always = await world.create('s1', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, always)
    await stop(world.engine, { ref: always, signal: 'INT' })
    assert.equal(status(always), 'exited')
    const paused = await world.create('s2')
    await start(world.engine, paused)
    await pause(world.engine, paused)
    const before = world.actions().length
    const stopping = stop(world.engine, { ref: paused, signal: 'INT', timeout: 0 })
    await stopping
    assert.equal(world.groups.has(paused), false)
    assert.deepEqual(world.actions().slice(before, before + 2), ['kill', 'unpause'])
  })

  it('stop escalates to SIGKILL', async () => {
    world.fatal = new Set([9])
    const id = await world.create()
    await start(world.engine, id)
    await stop(world.engine, { ref: id, timeout: 0 })
    const signals = world.requests
      .filter((r) => r.verb === 'exec.process.signal')
      .map((r) => (r.request as { signal: number }).signal)
    assert.deepEqual(signals, [15, 9])
    assert.equal(world.engine.containers.get(id)?.state.exitCode, 137)
  })

  it('kill sends what it is told; a stopped container is a conflict', async () => {
    const id = await world.create('k1')
    await assert.rejects(
      kill(world.engine, 'k1', ''),
      kindOf('conflict', /cannot kill container: k1: .* is not running/),
    )
    await assert.rejects(kill(world.engine, 'k1', 'FOO'), kindOf('invalid', /Invalid signal: FOO/))
    await start(world.engine, id)
    await kill(world.engine, 'k1', 'HUP')
    assert.equal(status(id), 'running')
    await kill(world.engine, 'k1', '')
    assert.equal(status(id), 'exited')
    assert.deepEqual(
      world
        .events()
        .filter((e) => e.action === 'kill')
        .map((e) => e.attributes['signal']),
      ['1', '9'],
    )
  })

  it('restart stops and starts, and does not remove a container with AutoRemove', async () => {
    const id = await world.create('r1', { HostConfig: { AutoRemove: true } })
    await start(world.engine, id)
    await restart(world.engine, { ref: id, timeout: 1 })
    assert.equal(status(id), 'running')
    assert.deepEqual(world.actions().slice(2), ['kill', 'die', 'start', 'restart'])
  })

  it('remove refuses a running one, and with force ends and removes it', async () => {
    const id = await world.create('web')
    await start(world.engine, id)
    await assert.rejects(
      remove(world.engine, { ref: 'web', force: false, volumes: false }),
      kindOf(
        'conflict',
        /cannot remove container "\/web": container is running: stop the container before removing or force remove/,
      ),
    )
    await remove(world.engine, { ref: 'web', force: true, volumes: true })
    assert.equal(world.engine.containers.get(id), undefined)
    assert.deepEqual(world.leftovers(), [])
    assert.equal(world.layers.size, 0)
    assert.deepEqual(world.actions().slice(2), ['kill', 'die', 'destroy'])
  })

  it('a removal that fails leaves it dead with the reason; it can be tried again', async () => {
    const id = await world.create()
    world.fail('storage.rootfs.remove', internal('disk on fire'))
    await assert.rejects(remove(world.engine, { ref: id, force: false, volumes: false }), /disk on fire/)
    assert.equal(status(id), 'dead')
    await remove(world.engine, { ref: id, force: false, volumes: false })
    assert.equal(status(id), undefined)
  })

  it('pause and unpause; a paused one can be stopped', async () => {
    const id = await world.create()
    await assert.rejects(pause(world.engine, id), kindOf('conflict', /is not running/))
    await start(world.engine, id)
    await pause(world.engine, id)
    assert.equal(status(id), 'paused')
    assert.equal(world.groups.get(id)?.frozen, true)
    await assert.rejects(pause(world.engine, id), kindOf('conflict', /already paused/))
    await unpause(world.engine, id)
    assert.equal(status(id), 'running')
    await pause(world.engine, id)
    world.fatal = new Set([9, 15])
    // The fake's signal does not reach a frozen process: thawing is what lets it die.
    const stopping = stop(world.engine, { ref: id, timeout: 0 })
    await stopping
    assert.equal(status(id), 'exited')
  })

  it('each change is told as soon as it is committed', async () => {
    const told: string[] = []
    world.engine.containers.onChange(() => told.push(world.actions().at(-1) ?? ''))
    world.engine.execs.onChange(() => told.push('exec'))
    const id = await world.create('web')
    assert.equal(told.at(-1), 'create')
    await start(world.engine, id)
    assert.equal(told.at(-1), 'start')
    await createExec(world.engine, { id: 'e'.repeat(64), ref: 'web', body: { Cmd: ['true'] } })
    assert.equal(told.at(-1), 'exec')
    const before = told.length
    await assert.rejects(start(world.engine, id), kindOf('not-modified'))
    assert.equal(told.length, before)
  })

  it('rename gives the old name free', async () => {
    const id = await world.create('w1')
    await world.create('x1')
    await assert.rejects(rename(world.engine, 'w1', 'x1'), kindOf('conflict', /already in use/))
    await rename(world.engine, 'w1', 'y1')
    assert.equal(world.engine.containers.find('y1').id, id)
    assert.throws(() => world.engine.containers.find('w1'), kindOf('not-found'))
    await world.create('w1')
    assert.equal(world.events().find((e) => e.action === 'rename')?.attributes['oldName'], '/w1')
  })

  it('rename while it runs takes over what the network calls it now', async () => {
    const id = await world.create('a1', { HostConfig: { NetworkMode: 'net1' } })
    await start(world.engine, id)
    await rename(world.engine, 'a1', 'c1')
    assert.deepEqual(world.engine.containers.find(id).state.sandbox?.endpoints[0]?.dnsNames, ['c1'])
  })

  it('asks the network whether it can give what is wished for before a container is made, or connected while it does not run', async () => {
    const asked = () => world.requests.filter(({ verb }) => verb === 'network.endpoint.check').length
    await world.create('plain', { HostConfig: { NetworkMode: 'net1' } })
    await connect(world.engine, { network: 'net2', container: 'plain', config: { DriverOpts: {} } })
    assert.equal(asked(), 0, 'there is nothing to ask')
    const config = { IPAMConfig: { IPv4Address: '10.9.9.9' } }
    const refuse = () => world.fail('network.endpoint.check', invalid('no configured subnet contains it'))
    refuse()
    await assert.rejects(
      world.create('wishful', {
        HostConfig: { NetworkMode: 'net1' },
        NetworkingConfig: { EndpointsConfig: { net1: config } },
      }),
      kindOf('invalid', /no configured subnet/),
    )
    refuse()
    await assert.rejects(
      connect(world.engine, { network: 'net3', container: 'plain', config }),
      kindOf('invalid', /no configured subnet/),
    )
    assert.deepEqual(Object.keys(world.engine.containers.find('plain').endpoints), ['net1', 'net2'])
  })

  it('update changes limits live, the changed ones only', async () => {
    const id = await world.create('u1', { HostConfig: { Memory: 64 << 20, CpuShares: 5 } })
    await start(world.engine, id)
    await update(world.engine, id, { Memory: 96 << 20, MemorySwap: 96 << 20, CpuShares: 0 })
    const request = world.requests.find((r) => r.verb === 'cgroup.group.update')?.request as Record<string, unknown>
    assert.deepEqual(request['resources'], { Memory: 96 << 20, MemorySwap: 96 << 20 })
    assert.equal(world.engine.containers.get(id)?.hostConfig.CpuShares, 5)
    await assert.rejects(update(world.engine, id, { Memory: 'x' }), kindOf('invalid', /Memory/))
  })

  it('an update that cannot be recorded is undone, limits that were not set before too', async () => {
    const id = await world.create('u0', { HostConfig: { CpuShares: 5 } })
    await start(world.engine, id)
    const before = structuredClone(world.groups.get(id)?.limits)
    const full = mock.method(world.engine.containers, 'put', () => {
      throw new Error('the disk is full')
    })
    await assert.rejects(update(world.engine, id, { Memory: 96 << 20, MemorySwap: 96 << 20 }), /the disk is full/)
    full.mock.restore()
    assert.deepEqual(world.groups.get(id)?.limits, before)
  })

  it('an update that only takes limits away reaches the kernel', async () => {
    const rates = [{ Path: '/dev/vda', Rate: 1 << 20 }]
    const id = await world.create('u2', {
      HostConfig: { PidsLimit: 5, OomKillDisable: true, BlkioDeviceReadBps: rates },
    })
    await start(world.engine, id)
    for (const change of [{ PidsLimit: 0 }, { OomKillDisable: false }, { BlkioDeviceReadBps: [] }]) {
      await update(world.engine, id, change)
      const [[field, value] = []] = Object.entries(change)
      const limits: Record<string, unknown> = { ...world.groups.get(id)?.limits }
      assert.deepEqual(limits[field ?? ''], value, field)
    }
  })

  it('an update of the restart policy asks nobody about limits', async () => {
    const id = await world.create('u3', { HostConfig: { BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: 1 }] } })
    world.devices.clear()
    world.down.add('cgroup')
    await update(world.engine, id, { RestartPolicy: { Name: 'always' }, Memory: 0, CpusetCpus: '', PidsLimit: null })
    assert.equal(world.engine.containers.get(id)?.hostConfig.RestartPolicy?.Name, 'always')
  })

  it('an update that the next start would refuse is refused', async () => {
    const id = await world.create('u4', {})
    await assert.rejects(update(world.engine, id, { MemorySwap: 64 << 20 }), kindOf('invalid', /set the Memory limit/))
    await update(world.engine, id, { Memory: 64 << 20, MemorySwap: 64 << 20 })
    await assert.rejects(update(world.engine, id, { MemoryReservation: 96 << 20 }), kindOf('invalid', /reservation/))
    await start(world.engine, id)
  })

  it('an update of memory alone fits the swap in force or is refused, naming the container', async () => {
    const id = await world.create('u5', {})
    await start(world.engine, id)
    const refused = kindOf('conflict', new RegExp(`^Cannot update container ${id}: Memory limit .* memoryswap`))
    await assert.rejects(update(world.engine, id, { Memory: 100 << 20 }), refused)
    await update(world.engine, id, { Memory: 100 << 20, MemorySwap: 200 << 20 })
    await update(world.engine, id, { Memory: 200 << 20 })
    assert.equal(world.groups.get(id)?.limits.Memory, 200 << 20)
    assert.equal(world.engine.containers.get(id)?.hostConfig.MemorySwap, 200 << 20)
    await assert.rejects(update(world.engine, id, { Memory: 300 << 20 }), refused)
  })

  it('what the kernel refuses names the container; a number of pids below 1 is shown as unlimited', async () => {
    const id = await world.create('u7', {})
    await start(world.engine, id)
    world.fail('cgroup.group.update', invalid('no'))
    await assert.rejects(
      update(world.engine, id, { PidsLimit: 5 }),
      kindOf('invalid', /^Cannot update container \w+: no$/),
    )
    await update(world.engine, id, { PidsLimit: -7 })
    assert.equal(world.engine.containers.get(id)?.hostConfig.PidsLimit, 0)
  })

  it('an update is refused what a create is', async () => {
    const id = await world.create('u6', {})
    for (const field of ['CpuCount', 'CpuPercent', 'IOMaximumIOps', 'IOMaximumBandwidth', 'KernelMemory']) {
      await assert.rejects(update(world.engine, id, { [field]: 1 }), kindOf('invalid', new RegExp(field)), field)
    }
    assert.equal(world.calls.filter((c) => c === 'cgroup.group.check').length, 0)
  })

  it('a cgroup parent is checked before the container is made; what the CLI always says is not', async () => {
    await assert.rejects(
      world.create('p1', { HostConfig: { CgroupParent: '/bad' } }),
      kindOf('invalid', /cgroup-parent/),
    )
    assert.throws(() => world.engine.containers.find('p1'), kindOf('not-found'))
    world.calls = []
    const cli = { MemorySwappiness: -1, PidsLimit: 0, Memory: 0, BlkioWeightDevice: [], OomKillDisable: false }
    const id = await world.create('p2', { HostConfig: cli })
    assert.ok(!world.calls.includes('cgroup.group.check'))
    const { hostConfig } = world.engine.containers.find(id)
    assert.deepEqual([hostConfig.MemorySwappiness, hostConfig.PidsLimit], [undefined, undefined])
  })

  it('OOM is told, and inspect knows right after the exit', async () => {
    const id = await world.create('o1', { HostConfig: { Memory: 64 << 20 } })
    await start(world.engine, id)
    world.groups.get(id)!.oom = true
    await world.exit(id, 137)
    assert.equal(world.engine.containers.get(id)?.state.oomKilled, true)
  })

  it('OOM under the limit of a parent is known after a SIGKILL, or from the removal of the group', async () => {
    const id = await world.create('o2')
    await start(world.engine, id)
    world.groups.get(id)!.oom = true
    await world.exit(id, 137)
    assert.equal(world.engine.containers.get(id)?.state.oomKilled, true)
    const other = await world.create('o3')
    await start(world.engine, other)
    world.groups.get(other)!.oom = true
    await world.exit(other, 1)
    await world.engine.locks.run(other, async () => undefined)
    assert.equal(world.engine.containers.get(other)?.state.oomKilled, true)
  })

  it('an OOM fact is told once, with its cgroup, and only of the run that it is of', async () => {
    const id = await world.create('o4')
    await start(world.engine, id)
    const instance = world.engine.containers.find(id).state.instance
    const fact = { id, instance, cgroup: `/gtest/${id}/sub`, total: 1 }
    const told = () =>
      world
        .events()
        .filter((e) => e.action === 'oom')
        .map((e) => e.attributes['cgroup'])
    for (let turn = 0; turn < 2; turn++) await hear(world.engine, 'cgroup.oom', fact)
    assert.deepEqual(told(), [fact.cgroup])
    assert.equal(world.engine.containers.find(id).state.oomKilled, true)
    await world.exit(id, 0)
    await hear(world.engine, 'cgroup.oom', { ...fact, total: 2 })
    await start(world.engine, id)
    await hear(world.engine, 'cgroup.oom', { ...fact, total: 3 })
    assert.equal(world.engine.containers.find(id).state.oomKilled, false, 'that was the run before')
    assert.equal(told().length, 2)
  })

  it('an OOM kill before the start is recorded belongs to that run', async () => {
    const id = await world.create('o5')
    const release = world.hold('exec.process.run')
    const starting = start(world.engine, id)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { instance } = world.requests.findLast((r) => r.verb === 'cgroup.group.create')?.request as {
      instance: string
    }
    const heard = hear(world.engine, 'cgroup.oom', { id, instance, cgroup: '/x', total: 1 })
    release()
    await Promise.all([starting, heard])
    assert.equal(world.engine.containers.find(id).state.oomKilled, true)
  })

  it('a late fact of an earlier run changes nothing', async () => {
    const id = await world.create()
    await start(world.engine, id)
    const first = { ...world.processes.get(id)! }
    await world.exit(id, 1)
    await start(world.engine, id)
    await world.tellExit(id, { ...first, status: 'exited', exitCode: 9 })
    assert.equal(status(id), 'running')
  })

  it('an exit that comes before the start has been recorded is handled after it', async () => {
    const id = await world.create()
    const release = world.hold('exec.process.run')
    const starting = start(world.engine, id)
    await new Promise((resolve) => setTimeout(resolve, 20))
    release()
    // The process exists once the call goes on; it ends before the engine has the reply.
    while (!world.processes.has(id)) await Promise.resolve()
    const exiting = world.exit(id, 4)
    await starting
    await exiting
    assert.deepEqual(world.actions(), ['create', 'start', 'die'])
    assert.equal(status(id), 'exited')
  })

  it('concurrent work on one container is serial; on different ones it is parallel', async () => {
    const [a, b] = [await world.create('a1'), await world.create('b1')]
    const release = world.hold('storage.rootfs.mount')
    const first = start(world.engine, a)
    const second = assert.rejects(start(world.engine, a), kindOf('not-modified'))
    await start(world.engine, b)
    assert.equal(status(b), 'running')
    assert.equal(status(a), 'created')
    release()
    await first
    await second
    await Promise.all([stop(world.engine, { ref: a }), remove(world.engine, { ref: a, force: true, volumes: false })])
    assert.equal(status(a), undefined)
    assert.deepEqual(
      world.leftovers().filter((l) => l.endsWith(a)),
      [],
    )
  })

  it('prune removes stopped ones that the filters choose', async () => {
    const kept = await world.create('kept', { Labels: { keep: '1' } })
    const running = await world.create('running')
    await start(world.engine, running)
    const old = await world.create('old')
    assert.deepEqual((await prune(world.engine, { 'label!': ['keep'] })).ContainersDeleted, [old])
    const told = world.events().at(-1)
    assert.deepEqual([told?.action, told?.id, told?.attributes], ['prune', '', { reclaimed: '1' }])
    assert.equal(status(kept), 'created')
    await assert.rejects(prune(world.engine, { nope: ['x'] }), kindOf('invalid', /invalid filter 'nope'/))
  })

  it('prune removes a dead one whose layer is gone already, and one that cannot go does not keep the others', async () => {
    const dead = await world.create('half')
    world.fail('exec.process.purge', internal('busy'))
    await assert.rejects(remove(world.engine, { ref: dead, force: false, volumes: false }), /busy/)
    const [stuck, last] = [await world.create('stuck'), await world.create('last')]
    world.fail('storage.rootfs.size', notFound('no layer'))
    world.fail('storage.rootfs.size', internal('broken'))
    const result = await prune(world.engine, {})
    assert.deepEqual(result, { ContainersDeleted: [dead, last], SpaceReclaimed: 1 })
    assert.equal(status(stuck), 'created')
  })

  it('a stop is on record before the signal is sent: no policy starts the container again', async () => {
    const id = await world.create('al', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, id)
    const dead = world.dieAt('exec.process.signal', 'before')
    await Promise.race([dead, stop(world.engine, { ref: id })])
    await dead
    world.die(id, 143)
    await world.boot()
    await world.engine.containers.until(id, (c) => c?.state.status !== 'running', 2000)
    assert.equal(status(id), 'exited')
  })

  it('a stop that fails leaves the policy as it was', async () => {
    const id = await world.create('al', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, id)
    world.fail('exec.process.signal', internal('no'))
    await assert.rejects(stop(world.engine, { ref: id }), /no/)
    assert.equal(world.engine.containers.find(id).state.manuallyStopped, false)
  })

  it('a write that fails changes nothing in memory either', async () => {
    const id = await world.create('web')
    await start(world.engine, id)
    const { containers, execs, store } = world.engine
    const exec = {
      id: 'e',
      container: id,
      config: {},
      status: 'running',
      pid: 1,
      exitCode: null,
      finished: null,
    } as const
    let told = 0
    const unwatch = containers.watch(id, () => told++)
    const failing = () =>
      store.transaction(() => {
        containers.reserveName('other', id)
        containers.setState(id, { manuallyStopped: true })
        execs.put(exec)
        throw new Error('database or disk is full')
      })
    assert.throws(failing, /disk is full/)
    unwatch()
    assert.equal(told, 0)
    assert.equal(containers.get(id)?.state.manuallyStopped, false)
    assert.equal(containers.peek('other'), undefined)
    assert.equal(execs.get('e'), undefined)
  })

  it('restart policies: on-failure:2 gives up after two, always goes on until it is stopped', async () => {
    const id = await world.create('f1', { HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } } })
    await start(world.engine, id)
    const { containers } = world.engine
    for (const count of [1, 2]) {
      await world.exit(id, 4)
      assert.equal(status(id), 'restarting')
      await containers.until(id, (c) => c?.state.status === 'running', 2000)
      assert.equal(containers.get(id)?.state.restartCount, count)
    }
    await world.exit(id, 4)
    assert.equal(status(id), 'exited')

    const always = await world.create('al', { HostConfig: { RestartPolicy: { Name: 'always' } } })
    await start(world.engine, always)
    await world.exit(always, 0)
    assert.equal(status(always), 'restarting')
    await stop(world.engine, { ref: always })
    assert.equal(status(always), 'exited')
  })

  it('a failed start of a container with AutoRemove removes it', async () => {
    const id = await world.create('x1', { HostConfig: { AutoRemove: true } })
    world.fail('exec.process.run', internal('no such file', { details: { exitCode: 127 } }))
    await assert.rejects(start(world.engine, id), kindOf('invalid', /no such file/))
    assert.equal(await gone(id), true)
    assert.equal(world.engine.containers.removedExitCode(id), 127)
  })

  it('jobs are listed with their steps', async () => {
    const id = await world.create()
    await start(world.engine, id)
    const [created, started] = world.engine.jobs.list(10)
    assert.equal(created?.name, 'create')
    assert.equal(started?.status, 'done')
    assert.deepEqual(
      started?.steps.map((s) => s.name),
      ['storage.rootfs.mount', 'network.sandbox.create', 'cgroup.group.create', 'exec.process.run'],
    )
    assert.match(started?.traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  })
})
