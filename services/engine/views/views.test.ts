import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { conflict } from '../../../shared/errors/index.ts'
import { until } from '../../../test/support/until.ts'
import { logDetails } from '../config/log-details.ts'
import { createExec, execEnded, inspectExec, startExec } from '../execs/sessions.ts'
import { newId } from '../engine.ts'
import { nextHealth } from '../health/judge.ts'
import { remove } from '../jobs/remove.ts'
import { start } from '../jobs/start.ts'
import { World } from '../testing/world.ts'
import { humanDuration } from './duration.ts'
import { inspect } from './inspect.ts'
import { list, statusText } from './list.ts'
import { stats } from './stats.ts'
import { attach, logs } from './streams.ts'

type Tree = { [key: string]: Tree }

describe('views', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.boot()
  })
  afterEach(() => world.close())
  const names = async (filters: Record<string, string[]>, all = false) =>
    (await list(world.engine, { all, size: false, limit: 0, filters })).map((c) => (c['Names'] as string[])[0])

  it('inspect says what was not asked for in the way Docker says it', async () => {
    const show = async (name: string, body: object) => {
      await world.create(name, { Cmd: ['x'], ...body })
      return (await inspect(world.engine, name, false)) as Tree & {
        Config: Tree
        HostConfig: Tree
        NetworkSettings: Tree
      }
    }
    const plain = await show('plain', { Entrypoint: [''] })
    const { Volumes, Entrypoint, ...config } = plain.Config
    assert.deepEqual([Volumes, Entrypoint], [null, null])
    for (const absent of ['ExposedPorts', 'StopSignal', 'MacAddress']) assert.equal(absent in config, false, absent)
    assert.equal(plain.HostConfig['SecurityOpt'], null)

    const { HostConfig: privileged } = await show('privileged', { HostConfig: { Privileged: true } })
    const { MaskedPaths, ReadonlyPaths, SecurityOpt } = privileged
    assert.deepEqual([MaskedPaths, ReadonlyPaths, SecurityOpt], [null, null, ['label=disable']])
    const { HostConfig: host } = await show('host', { HostConfig: { PidMode: 'host', SecurityOpt: ['label=disable'] } })
    assert.deepEqual(host['SecurityOpt'], ['label=disable'])
    const unmasked = { HostConfig: { MaskedPaths: [] } }
    assert.deepEqual((await show('unmasked', unmasked)).HostConfig['MaskedPaths'], [])

    const endpoint = { EndpointsConfig: { bridge: { MacAddress: '02:00:00:00:00:07' } } }
    const mac = await show('mac', { NetworkingConfig: endpoint })
    assert.equal(mac.Config['MacAddress'], '02:00:00:00:00:07')
    await world.ask('s', 'container.start', { ref: 'plain' })
    assert.equal('MacAddress' in ((await inspect(world.engine, 'plain', false)) as Tree)['Config']!, false)

    await show('joined', { HostConfig: { NetworkMode: 'container:plain' } })
    await world.ask('j', 'container.start', { ref: 'joined' })
    const { NetworkSettings } = (await inspect(world.engine, 'joined', false)) as Tree
    assert.deepEqual([NetworkSettings?.['SandboxID'], NetworkSettings?.['SandboxKey']], ['', ''])
  })

  it('inspect shows Docker-shaped documents before, while and after it runs', async () => {
    const id = await world.create('web', {
      ExposedPorts: { '81/tcp': {} },
      HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] }, Binds: ['/a:/b:ro'], CapAdd: ['NET_ADMIN'] },
    })
    const created = (await inspect(world.engine, 'web', false)) as Tree
    assert.equal(created['Name'], '/web')
    assert.equal(created['Path'], 'sh')
    assert.deepEqual(created['State'], {
      Status: 'created',
      Running: false,
      Paused: false,
      Restarting: false,
      OOMKilled: false,
      Dead: false,
      Pid: 0,
      ExitCode: 0,
      Error: '',
      StartedAt: '0001-01-01T00:00:00Z',
      FinishedAt: '0001-01-01T00:00:00Z',
    })
    assert.equal(created['Config']?.['Hostname'], id.slice(0, 12))
    assert.deepEqual(created['HostConfig']?.['CapAdd'], ['CAP_NET_ADMIN'])
    assert.equal(created['HostConfig']?.['NetworkMode'], 'bridge')
    assert.equal(created['NetworkSettings']?.['IPAddress'], '')
    assert.deepEqual(Object.keys(created['NetworkSettings']?.['Networks'] ?? {}), ['bridge'])

    await start(world.engine, id)
    const running = (await inspect(world.engine, 'web', true)) as Tree
    assert.equal(running['State']?.['Running'], true)
    assert.equal(running['SizeRw'], 1)
    assert.equal(running['NetworkSettings']?.['IPAddress'], '172.17.0.2')
    assert.deepEqual(running['NetworkSettings']?.['Ports'], {
      '81/tcp': null,
      '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }],
    })
    await world.exit(id, 3)
    const ended = (await inspect(world.engine, 'web', false)) as Tree
    assert.deepEqual([ended['State']?.['Status'], ended['State']?.['ExitCode']], ['exited', 3])
    assert.deepEqual(ended['NetworkSettings']?.['Ports'], {})
  })

  it('the details of a log are the variables and labels that its options choose, and its tag', () => {
    const config = { Env: ['A=1', 'B_1=x y', 'B_2=', 'C=3'], Labels: { 'app.a': '1', 'app.b': '2', other: '3' } }
    const subject = { id: 'f'.repeat(64), name: 'web', image: 'busybox', imageId: `sha256:${'a'.repeat(64)}`, config }
    assert.equal(logDetails(subject, {}), '')
    assert.equal(logDetails(subject, { env: 'C,nope', 'env-regex': '^B_' }), 'C=3,B_1=x%20y,B_2=')
    assert.equal(logDetails(subject, { labels: 'app.a', 'labels-regex': '^app' }), 'app.a=1,app.b=2')
    assert.equal(logDetails(subject, { tag: '{{.ImageName}}/{{ .ID }}' }), `tag=busybox%2F${'f'.repeat(12)}`)
  })

  it('list: running ones, newest first, and every filter', async () => {
    const web = await world.create('web', { Labels: { a: '1', b: '2' }, ExposedPorts: { '53/udp': {} } })
    const data = await world.create('data', { HostConfig: { Binds: ['vol:/data'], NetworkMode: 'net1' } })
    const old = await world.create('ended')
    await start(world.engine, web)
    await start(world.engine, old)
    await world.exit(old, 7)
    assert.deepEqual(await names({}), ['/web'])
    assert.deepEqual(await names({}, true), ['/ended', '/data', '/web'])
    assert.deepEqual(await names({ name: ['eb$'] }), ['/web'])
    assert.deepEqual(await names({ id: [data.slice(0, 6)] }, true), ['/data'])
    assert.deepEqual(await names({ label: ['a', 'b=2'] }), ['/web'])
    assert.deepEqual(await names({ label: ['a', 'b=3'] }), [])
    assert.deepEqual(await names({ status: ['exited', 'created'] }), ['/ended', '/data'])
    assert.deepEqual(await names({ exited: ['7'] }), ['/ended'])
    assert.deepEqual(await names({ volume: ['vol'] }, true), ['/data'])
    assert.deepEqual(await names({ network: ['net1'] }, true), ['/data'])
    assert.deepEqual(await names({ expose: ['53/udp'] }), ['/web'])
    assert.deepEqual(await names({ ancestor: ['busybox'] }), ['/web'])
    assert.deepEqual(await names({ ancestor: ['nope'] }), [])
    assert.deepEqual(await names({ health: ['none'] }, true), ['/ended', '/data', '/web'])
    assert.deepEqual(await names({ 'is-task': ['true'] }), [])
    await assert.rejects(names({ status: ['foo'] }), /invalid filter 'status=foo'/)
    await assert.rejects(names({ foo: ['x'] }), /invalid filter 'foo'/)
    await assert.rejects(names({ before: ['nope'] }), /No such container: nope/)
    const [newest] = await list(world.engine, { all: false, size: true, limit: 1, filters: {} })
    assert.deepEqual(newest?.['Names'], ['/ended'])
    assert.equal(newest?.['SizeRootFs'], 2)
  })

  it('status texts', async () => {
    const id = await world.create()
    const text = () => statusText(world.engine.containers.get(id)!)
    assert.equal(text(), 'Created')
    await start(world.engine, id)
    assert.equal(text(), 'Up Less than a second')
    await world.exit(id, 1)
    assert.equal(text(), 'Exited (1) Less than a second ago')
    assert.deepEqual(
      [1, 59, 60, 3599, 5400, 49 * 3600, 15 * 86400, 70 * 86400].map((s) => humanDuration(s * 1000)),
      ['1 second', '59 seconds', 'About a minute', '59 minutes', '2 hours', '2 days', '2 weeks', '2 months'],
    )
  })

  it('exec: its record, its end, its exit code even before the fact comes', async () => {
    const id = await world.create('web')
    const execId = newId()
    const body = { Cmd: ['ls', '-l'], AttachStdout: true, User: 'web' }
    await assert.rejects(createExec(world.engine, { id: execId, ref: 'web', body }), /is not running/)
    await start(world.engine, id)
    await assert.rejects(createExec(world.engine, { id: execId, ref: 'web', body: {} }), /No exec command specified/)
    const badKeys = { id: execId, ref: 'web', body: { ...body, DetachKeys: 'ctrl-ctrl' } }
    await assert.rejects(createExec(world.engine, badKeys), /invalid detach keys/)
    await createExec(world.engine, { id: execId, ref: 'web', body })
    assert.equal((await inspectExec(world.engine, execId))['ExitCode'], null)
    const reply = await startExec(world.engine, { id: execId, detach: false })
    assert.ok(reply.stream)
    assert.equal((await inspectExec(world.engine, execId))['Running'], true)
    await assert.rejects(startExec(world.engine, { id: execId, detach: false }), /has already run/)
    world.sessions.set(execId, { container: id, running: false, exitCode: 5 })
    const ended = (await inspectExec(world.engine, execId)) as Tree
    assert.deepEqual([ended['Running'], ended['ExitCode'], ended['ProcessConfig']?.['user']], [false, 5, 'web'])
    await execEnded(world.engine, { id: execId, container: id, exitCode: 5 })
    assert.deepEqual(world.actions().slice(2), ['exec_create: ls -l', 'exec_start: ls -l', 'exec_die'])
    assert.equal(world.events().at(-1)?.attributes['exitCode'], '5')
    await assert.rejects(inspectExec(world.engine, newId()), /No such exec instance/)
  })

  it('an exec that ended while the engine was away is known as such', async () => {
    const id = await world.create('web')
    await start(world.engine, id)
    const execId = newId()
    await createExec(world.engine, { id: execId, ref: 'web', body: { Cmd: ['ls'] } })
    await startExec(world.engine, { id: execId, detach: true })
    world.sessions.set(execId, { container: id, running: false, exitCode: 2 })
    await world.boot()
    assert.equal(world.engine.execs.find(execId).exitCode, 2)
  })

  it('attach works before the start; logs want a stream', async () => {
    await world.create('web', { OpenStdin: true })
    const request = { ref: 'web', stdin: true, stdout: true, stderr: true, logs: false, stream: true, detachKeys: '' }
    assert.equal((await attach(world.engine, request)).tty, false)
    assert.deepEqual(world.actions(), ['create', 'attach'])
    const log = { ref: 'web', since: 0, until: 0, tail: -1, follow: false, timestamps: false, details: false }
    await assert.rejects(
      logs(world.engine, { ...log, stdout: false, stderr: false }),
      /you must choose at least one stream/,
    )
    assert.ok((await logs(world.engine, { ...log, stdout: true, stderr: false })).stream)
  })

  describe('an attachment that is made again while the exec service is away', () => {
    const request = { ref: 'web', stdin: false, stdout: true, stderr: true, logs: false, stream: true, detachKeys: '' }
    const again = { ...request, resume: { exits: 0, since: 0, stdout: 0, stderr: 0 } }
    const asked = () =>
      world.requests
        .filter(({ verb }) => verb === 'exec.process.attach')
        .map(({ request: r }) => r as { unrun?: boolean; instance?: string; resume?: { ended: boolean } })

    it('gets what a run wrote that began and ended meanwhile', async () => {
      const id = await world.create('web')
      const release = world.hold('exec.process.attach')
      const reply = attach(world.engine, again)
      await start(world.engine, id)
      await world.exit(id, 0)
      release()
      assert.ok((await reply).stream)
      assert.deepEqual(
        asked().map(({ unrun, resume }) => [unrun, resume?.ended]),
        [
          [true, undefined],
          [undefined, true],
        ],
      )
    })

    it('gets what a run writes that is about to be recorded', async () => {
      const id = await world.create('web')
      world.fail('exec.process.attach', conflict('it has been started meanwhile'), 2)
      const reply = attach(world.engine, again)
      await start(world.engine, id)
      assert.ok((await reply).stream)
      const { instance } = world.engine.containers.find(id).state
      assert.equal(asked().at(-1)?.instance, instance)
      assert.equal(asked().at(-1)?.resume?.ended, false)
    })

    it('does not wait for a run of what is gone', async () => {
      const id = await world.create('web', { HostConfig: { AutoRemove: true } })
      const release = world.hold('exec.process.attach')
      const reply = attach(world.engine, again)
      await start(world.engine, id)
      await world.exit(id, 0)
      await until('its removal', 1000, async () => world.engine.containers.get(id) === undefined)
      release()
      await assert.rejects(reply, /No such container/)
    })
  })

  it('stats of a stopped container have every member that clients reach into', async () => {
    await world.create('web')
    const sample = await stats(world.engine, 'web')
    const cpu = sample['cpu_stats'] as Record<string, unknown>
    assert.deepEqual(cpu['throttling_data'], { periods: 0, throttled_periods: 0, throttled_time: 0 })
    assert.deepEqual(cpu['cpu_usage'], { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 })
    assert.equal(Object.keys(sample['blkio_stats'] as object).length, 8)
    assert.equal(sample['read'], '0001-01-01T00:00:00Z')
  })

  it('stats of many are asked for together, each with its own id, also with a network that was another container’s', async () => {
    await start(world.engine, await world.create('one'))
    await start(world.engine, await world.create('two', { HostConfig: { NetworkMode: 'container:one' } }))
    await remove(world.engine, { ref: 'one', force: true, volumes: false })
    await start(world.engine, await world.create('three'))
    world.calls = []
    const names = ['two', 'three', 'three']
    const samples = await Promise.all(names.map((name) => stats(world.engine, name)))
    assert.deepEqual(
      samples.map((s) => s['name']),
      names.map((name) => `/${name}`),
    )
    assert.deepEqual(world.calls.sort(), ['cgroup.group.stats', 'network.sandbox.stats'])
    const ids = ['two', 'three'].map((name) => world.engine.containers.find(name).id)
    for (const { verb, request } of world.requests.slice(-2)) assert.deepEqual(request, { ids }, verb)
  })

  it('health: unhealthy after so many failures in a row, those of the start period aside', () => {
    const result = (ExitCode: number) => ({ Start: '', End: '', ExitCode, Output: '' })
    let health = nextHealth({ Status: 'starting', FailingStreak: 0, Log: [] }, result(1), 2, true)
    assert.deepEqual([health.Status, health.FailingStreak], ['starting', 0])
    health = nextHealth(health, result(1), 2, false)
    health = nextHealth(health, result(1), 2, false)
    assert.deepEqual([health.Status, health.FailingStreak], ['unhealthy', 2])
    assert.equal(nextHealth(health, result(0), 2, false).Status, 'healthy')
  })
})
