import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { EndpointRequest, SandboxRequest } from '../../../shared/contracts/index.ts'
import { type ErrorKind, isKind } from '../../../shared/errors/index.ts'
import { createExec, startExec } from '../execs/sessions.ts'
import { newId } from '../engine.ts'
import { World } from '../testing/world.ts'
import { inspect } from '../views/inspect.ts'
import { connect, disconnect } from './connect.ts'
import { remove } from './remove.ts'
import { start } from './start.ts'
import { unlink } from './unlink.ts'

const fails = (kind: ErrorKind, message: RegExp) => (error: unknown) => {
  assert.ok(isKind(error, kind) && error instanceof Error)
  assert.match(error.message, message)
  return true
}

let world: World
beforeEach(async () => {
  world = new World()
  await world.boot()
})
afterEach(() => world.close())

const latest = <T>(verb: string): T => world.requests.findLast((r) => r.verb === verb)?.request as T
const sandboxLinks = () => latest<SandboxRequest>('network.sandbox.create').endpoints.flatMap((e) => e.links)
const connectLinks = () => latest<{ endpoint: EndpointRequest }>('network.endpoint.connect').endpoint.links
const environment = (): string[] => latest<{ process: { env: string[] } }>('exec.process.run').process.env

describe('links on a user-defined network', () => {
  const onNet = (...Links: string[]) => ({
    HostConfig: { NetworkMode: 'mynet' },
    NetworkingConfig: { EndpointsConfig: { mynet: { Links } } },
  })

  it('are names: of one that is not there yet, and never of an id', async () => {
    const id = await world.create('web', onNet('db:store'))
    await start(world.engine, id)
    assert.deepEqual(sandboxLinks(), [{ id: '', name: 'db', alias: 'store' }])
    assert.equal(
      environment().some((v) => v.startsWith('STORE')),
      false,
    )
    await world.exit(id, 0)
    await world.create('db', onNet())
    await start(world.engine, id)
    assert.deepEqual(sandboxLinks(), [{ id: '', name: 'db', alias: 'store' }])
  })

  it('go with their endpoint, and are replaced by a new connection', async () => {
    const id = await world.create('web')
    await start(world.engine, id)
    const link = (config: Record<string, unknown>) => connect(world.engine, { network: 'mynet', container: id, config })
    await link({ Links: ['nobody:store'] })
    assert.deepEqual(connectLinks(), [{ id: '', name: 'nobody', alias: 'store' }])
    await disconnect(world.engine, { network: 'mynet', container: id, force: false })
    await link({})
    assert.deepEqual(connectLinks(), [])
    assert.deepEqual(world.engine.containers.get(id)?.links, [])
  })
})

describe('links on the default bridge', () => {
  const linked = (...Links: string[]) => ({ HostConfig: { Links } })
  const target = async (): Promise<string> => {
    const id = await world.create('db', {
      Env: ['A=1', 'HOME=/x', 'PATH=/y'],
      ExposedPorts: { '80/tcp': {}, '81/tcp': {}, '82/udp': {}, '9000/tcp': {}, '5-6/tcp': {} },
    })
    await start(world.engine, id)
    return id
  }

  it('set Docker’s variables, for execs as well; the container’s own outweigh them', async () => {
    const db = await target()
    const id = await world.create('web', { ...linked('db:my-db'), Env: ['MY_DB_ENV_A=own'] })
    await start(world.engine, id)
    assert.deepEqual(sandboxLinks(), [{ id: db, name: 'db', alias: 'my-db' }])
    const ip = '172.17.0.2'
    const port = (p: number, kind = 'tcp') => {
      const name = `MY_DB_PORT_${p}_${kind.toUpperCase()}`
      return [`${name}=${kind}://${ip}:${p}`, `${name}_ADDR=${ip}`, `${name}_PORT=${p}`, `${name}_PROTO=${kind}`]
    }
    const expected = [
      `MY_DB_PORT=tcp://${ip}:5`,
      `MY_DB_PORT_80_TCP_START=tcp://${ip}:80`,
      'MY_DB_PORT_80_TCP_PORT_START=80',
      `MY_DB_PORT_80_UDP_END=udp://${ip}:82`,
      'MY_DB_PORT_80_UDP_PORT_END=82',
      ...[5, 6, 80, 81, 9000].flatMap((p) => port(p)),
      ...port(82, 'udp'),
      'MY_DB_NAME=/web/my-db',
      'MY_DB_ENV_A=own',
    ]
    assert.deepEqual(
      environment()
        .filter((v) => v.startsWith('MY_DB'))
        .sort(),
      expected.sort(),
    )
    const exec = newId()
    await createExec(world.engine, { id: exec, ref: 'web', body: { Cmd: ['env'], Env: ['MY_DB_NAME=exec'] } })
    await startExec(world.engine, { id: exec, detach: true })
    const { env } = latest<{ process: { env: string[] } }>('exec.session.start').process
    assert.ok(env.includes(`MY_DB_PORT=tcp://${ip}:5`) && env.includes('MY_DB_NAME=exec'))
  })

  it('a target that does not run is refused at start; one that is gone is not missed', async () => {
    const db = await target()
    const id = await world.create('web', linked('db'))
    await world.exit(db, 0)
    await assert.rejects(
      start(world.engine, id),
      fails('conflict', /^Cannot link to a non running container: \/db AS \/web\/db$/),
    )
    assert.deepEqual(world.leftovers(), [])
    await remove(world.engine, { ref: 'db', force: false, volumes: false })
    await start(world.engine, id)
    assert.equal(
      environment().some((v) => v.startsWith('DB_')),
      false,
    )
  })

  it('a target that is on other networks alone is refused at start', async () => {
    const db = await world.create('db', { HostConfig: { NetworkMode: 'net1' } })
    await start(world.engine, db)
    const id = await world.create('web', linked('db'))
    const refused = fails('conflict', new RegExp(`^container ${db} not attached to default bridge network$`))
    await assert.rejects(start(world.engine, id), refused)
    assert.equal(world.sandboxes.has(id), false)
  })

  it('a target on the host’s network is refused, also behind another container', async () => {
    await world.create('hosted', { HostConfig: { NetworkMode: 'host' } })
    await world.create('behind', { HostConfig: { NetworkMode: 'container:hosted' } })
    for (const name of ['hosted', 'behind'])
      await assert.rejects(
        world.create('web', linked(name)),
        fails('invalid', /host type networking can't be used with links/),
      )
    await world.create('c1', { HostConfig: { NetworkMode: 'container:c2' } })
    await world.create('c2', { HostConfig: { NetworkMode: 'container:c1' } })
    await world.create('web', linked('c1'))
  })

  it('rm --link takes the link alone, at once and for good', async () => {
    await target()
    const id = await world.create('web', linked('db:one', 'db:two'))
    await start(world.engine, id)
    for (const [ref, kind, message] of [
      ['web', 'conflict', /cannot remove the default link name/],
      ['nope', 'not-found', /No such container: nope/],
      ['nope/one', 'not-found', /No such container: nope\/one/],
      ['web/three', 'not-found', /No such container: web\/three/],
    ] as const) {
      await assert.rejects(unlink(world.engine, ref), fails(kind, message))
    }
    await unlink(world.engine, '/web/one')
    assert.deepEqual(
      connectLinks().map((l) => l.alias),
      ['two'],
    )
    const view = (await inspect(world.engine, 'web', false))['HostConfig'] as { Links: string[] }
    assert.deepEqual(view.Links, ['/db:/web/two'])
    await world.exit(id, 0)
    await unlink(world.engine, 'web/two')
    await start(world.engine, id)
    assert.deepEqual(sandboxLinks(), [])
  })

  it('an engine that dies while it removes a link keeps it, and says so again', async () => {
    await target()
    const id = await world.create('web', linked('db'))
    await start(world.engine, id)
    const dead = world.dieAt('network.endpoint.connect', 'after')
    void unlink(world.engine, 'web/db')
    await dead
    await world.boot()
    assert.equal(world.engine.containers.get(id)?.links.length, 1)
    assert.equal(connectLinks().length, 1)
  })
})
