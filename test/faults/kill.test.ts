import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { identify } from '../../services/supervisor/identity.ts'
import { IMAGE } from '../support/busybox.ts'
import { startEngine, type TestEngine } from '../support/engine.ts'
import { until } from '../support/until.ts'

const SERVICES = ['gateway', 'engine', 'network', 'storage', 'cgroup', 'exec'] as const
/** How long a killed service may be missed. */
const BACK_MS = 10_000
/** When services are killed, in milliseconds after the docker command began: while it creates, starts, ends, removes. */
const MOMENTS = [40, 60, 80, 100, 130]

/** kill -9 of everything that is ours, while containers run and while one is being made. */
describe('kill -9', () => {
  let engine: TestEngine
  let pid: string
  let page: string

  const ok = async (...args: string[]): Promise<string> => {
    const result = await engine.docker(args)
    assert.equal(result.code, 0, `docker ${args.join(' ')}: ${result.stdout}${result.stderr}`)
    return result.stdout.trim()
  }
  const get = async (): Promise<string> => (await (await fetch(page)).text()).trim()

  /** The container of `before` was not touched: same process, its port answers, one can go into it. */
  const survives = async (): Promise<void> => {
    assert.ok(existsSync(`/proc/${pid}`), 'its process is gone')
    assert.equal(await get(), 'hello-from-httpd')
    await until('exec in it', BACK_MS, async () => (await engine.docker(['exec', 'web', 'true'])).code === 0)
    assert.equal(await ok('inspect', '-f', '{{.State.Pid}} {{.State.Running}}', 'web'), `${pid} true`)
    assert.equal(await get(), 'hello-from-httpd')
  }
  /** Every service is ready, and none still has this pid. */
  const recovered = (killed: number): Promise<boolean> =>
    until('recovery', BACK_MS, async () => {
      const { services, nats } = await engine.status()
      const pids = [nats.pid, ...services.map((service) => service.pid)]
      return services.every((service) => service.ready) && nats.state === 'ready' && !pids.includes(killed)
    })

  before(async () => {
    engine = await startEngine()
    await ok('run', '-d', '--name', 'web', '-p', '127.0.0.1:0:80', IMAGE, 'httpd', '-f', '-p', '80', '-h', '/www')
    pid = await ok('inspect', '-f', '{{.State.Pid}}', 'web')
    page = `http://${await ok('port', 'web', '80')}/`
    await until('the page', 5_000, get)
  })
  after(() => engine.stop())

  for (const name of [...SERVICES, 'nats-server']) {
    describe(name, () => {
      test('a running container is not touched, and a new one runs', async () => {
        const killed = await engine.kill(name)
        assert.equal(await get(), 'hello-from-httpd')
        await recovered(killed)
        await survives()
        assert.equal(await ok('run', '--rm', IMAGE, 'echo', 'new'), 'new')
      })

      for (const moment of MOMENTS) {
        test(`killed ${moment} ms into a run`, async () => {
          const target = await engine.pidOf(name)
          const running = engine.docker(['run', '--rm', '--label', 'fault=1', IMAGE, 'true'], { timeoutMs: 20_000 })
          await sleep(moment)
          process.kill(target, 'SIGKILL')
          // It may fail (and then says so) or succeed; what counts is what is left.
          const result = await running
          if (result.code !== 0) assert.notEqual(result.stderr, '')
          await recovered(target)
          await until('its removal', BACK_MS, async () => {
            const left = await ok('ps', '-aq', '--filter', 'label=fault=1')
            if (left !== '') await engine.docker(['rm', '-f', ...left.split('\n')])
            return left === ''
          })
          assert.equal(await ok('run', '--rm', IMAGE, 'echo', 'after'), 'after')
        })
      }
    })
  }

  for (const name of ['engine', 'exec', 'nats-server'] as const) {
    test(`an exit while ${name} is away is not lost`, async () => {
      const target = await engine.pidOf(name)
      await ok('run', '-d', '--name', 'short', IMAGE, 'sh', '-c', 'sleep 0.1; exit 23')
      process.kill(target, 'SIGKILL')
      await recovered(target)
      assert.equal(await until('the exit code', BACK_MS, () => ok('wait', 'short')), '23')
      await ok('rm', 'short')
    })
  }

  test('who is attached while exec is killed gets all the output, once, and the exit code', async () => {
    const script = 'n=0; while [ $n -lt 120 ]; do echo line $n; echo error $n >&2; n=$((n+1)); sleep 0.1; done; exit 7'
    const running = engine.docker(['run', '--rm', '--name', 'counter', IMAGE, 'sh', '-c', script])
    await until('its start', BACK_MS, () => ok('ps', '-q', '--filter', 'name=counter'))
    await sleep(500)
    await recovered(await engine.kill('exec'))
    const { code, stdout, stderr } = await running
    const lines = (word: string): string => Array.from({ length: 120 }, (_, n) => `${word} ${n}\n`).join('')
    assert.deepEqual({ code, stdout, stderr }, { code: 7, stdout: lines('line'), stderr: lines('error') })
  })

  test('docker exec while exec is killed: all the output, once, and the exit code', async () => {
    const lines = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`).join('')
    const script = 'n=0; while [ $n -lt $0 ]; do echo line $n; n=$((n+1)); sleep 0.1; done; exit 7'
    // The one goes on when exec is back, the other has ended before.
    const long = engine.docker(['exec', 'web', 'sh', '-c', script, '60'])
    const short = engine.docker(['exec', 'web', 'sh', '-c', script, '8'])
    await sleep(600)
    await recovered(await engine.kill('exec'))
    assert.deepEqual(await short, { code: 7, stdout: lines(0, 8), stderr: '' })
    assert.deepEqual(await long, { code: 7, stdout: lines(0, 60), stderr: '' })
  })

  test('the exit code of a --rm container is not lost, and it is removed', async () => {
    const target = await engine.pidOf('engine')
    await ok('run', '-d', '--rm', '--name', 'brief', IMAGE, 'sleep', '0.1')
    process.kill(target, 'SIGKILL')
    await recovered(target)
    await until('its removal', BACK_MS, async () => (await ok('ps', '-aq', '--filter', 'name=brief')) === '')
  })

  test('events are neither lost nor doubled', async () => {
    const since = String(Date.now() / 1000)
    await ok('create', '--name', 'told', IMAGE, 'sleep', '100')
    const killed = await engine.kill('engine')
    await recovered(killed)
    await ok('start', 'told')
    await recovered(await engine.kill('nats-server'))
    await until('its removal', BACK_MS, () => ok('rm', '-f', 'told'))
    const query = ['--since', since, '--filter', 'container=told', '--filter', 'type=container']
    const told = await until('the last event', BACK_MS, async () => {
      const now = String(Date.now() / 1000)
      const events = (await ok('events', ...query, '--until', now, '--format', '{{.Action}}')).split('\n')
      return events.includes('destroy') ? events : undefined
    })
    for (const action of ['create', 'start', 'die', 'destroy']) {
      assert.equal(told.filter((event) => event === action).length, 1, `${action} in ${told.join(' ')}`)
    }
  })

  test('supervisor: the services go on; the next up replaces them, and none runs twice', async () => {
    const before = await engine.status()
    await engine.kill('supervisor')
    assert.equal(await ok('exec', 'web', 'echo', 'on'), 'on')
    assert.equal((await engine.status()).supervisor, null)
    await engine.up()
    const now = await engine.status()
    const old = new Set(before.services.map((service) => service.pid))
    assert.ok(now.services.every((service) => service.ready && !old.has(service.pid)))
    // One that has ended but was not collected yet by init, its parent now, does not run.
    for (const { name, pid } of before.services) assert.equal(identify(pid ?? 0), undefined, `${name} runs twice`)
    await survives()
  })

  test('down and up: containers go on, and those that a policy wants back are started', async () => {
    const statusOf = () => ok('inspect', '-f', '{{.State.Status}}', 'wanted')
    await ok('run', '-d', '--name', 'wanted', '--restart', 'always', '--stop-signal', 'KILL', IMAGE, 'sleep', '900')
    await ok('stop', 'wanted')
    await recovered(await engine.kill('engine'))
    assert.equal(await statusOf(), 'exited', 'the service alone was started again')
    assert.equal((await engine.gantry('down')).code, 0)
    assert.equal((await engine.gantry('status')).code, 1)
    assert.equal(await get(), 'hello-from-httpd')
    await engine.up()
    await survives()
    await until('its start', BACK_MS, async () => (await statusOf()) === 'running')
    await ok('rm', '-f', 'wanted')
  })

  test('everything at once', async () => {
    const { services, nats } = await engine.status()
    for (const target of [...services.map((service) => service.pid), nats.pid]) {
      if (target !== null) process.kill(target, 'SIGKILL')
    }
    await recovered(nats.pid ?? 0)
    await survives()
    assert.equal(await ok('run', '--rm', IMAGE, 'echo', 'new'), 'new')
  })

  test('nothing is left in the kernel', async () => {
    await engine.removeContainers()
    assert.deepEqual(await engine.leaks(), [])
  })
})
