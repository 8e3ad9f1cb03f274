import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadConfig } from '../../shared/config/index.ts'
import { identify, isAlive, parseStartTime, signalProcess } from './identity.ts'
import { freePort, natsUrl, writeNatsFiles } from './nats-files.ts'
import { credentialsPath, enginePaths, SERVICES } from './paths.ts'
import { readRecord, recordedProcesses, type SupervisorRecord } from './record.ts'
import { Supervisor, type SupervisorPlan } from './supervisor.ts'
import { untilRecord } from './watch.ts'

/** A service that says what the test wants: `broken` fails at its start, the others are ready at once. */
const FAKE = `
const [name] = process.argv.slice(2)
if (name === process.env.FAKE_BROKEN) {
  process.send({ type: 'failed', reason: name + ' lacks a tool' }, () => process.exit(1))
} else {
  process.send({ type: 'ready' })
  setInterval(() => {}, 1000)
  process.on('SIGTERM', () => process.exit(0))
}
`

const hasNats = spawnSync('nats-server', ['--version']).status === 0

test('the start time is found behind a command name with blanks and parentheses', () => {
  const fields = Array.from({ length: 30 }, (_, i) => String(i + 3))
  assert.equal(parseStartTime(`12 (a) b (c) ${fields.join(' ')}\n`), '22')
})

test('a process is alive under its own start time only', () => {
  const me = identify(process.pid)
  assert.ok(me)
  assert.equal(isAlive(me), true)
  assert.equal(isAlive({ ...me, startTime: '1' }), false)
  assert.equal(signalProcess({ ...me, startTime: '1' }, 'SIGKILL'), false)
})

describe('supervisor', { skip: hasNats ? false : 'nats-server is not installed' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-supervisor-'))
  const config = loadConfig({
    GANTRY_ROOT: join(directory, 'root'),
    GANTRY_RUN: join(directory, 'run'),
    GANTRY_CONFIG: join(directory, 'none.json'),
  })
  const paths = enginePaths(config)
  const fake = join(directory, 'fake.mjs')
  let plan: SupervisorPlan
  let supervisor: Supervisor

  before(async () => {
    mkdirSync(config.run, { recursive: true })
    writeFileSync(fake, FAKE)
    const port = await freePort()
    writeNatsFiles(config, port)
    plan = {
      mode: 'processes',
      natsUrl: natsUrl(port),
      paths,
      services: SERVICES,
      command: [process.execPath, fake],
      cwd: '/',
    }
    process.env['FAKE_BROKEN'] = 'exec'
    supervisor = new Supervisor(plan)
    supervisor.start()
  })

  after(async () => {
    delete process.env['FAKE_BROKEN']
    await supervisor.stop()
    rmSync(directory, { recursive: true })
  })

  const until = async (accept: (record: SupervisorRecord) => boolean): Promise<SupervisorRecord> => {
    const record = await untilRecord(paths.record, 15_000, (r) => r !== undefined && accept(r))
    assert.ok(record)
    return record
  }

  test('credentials are readable by their owner alone', () => {
    for (const file of [paths.natsConfig, credentialsPath(paths.natsDir, 'engine')]) {
      assert.equal(statSync(file).mode & 0o777, 0o600)
    }
    assert.equal(statSync(paths.natsDir).mode & 0o777, 0o700)
  })

  test('nats-server and the services become ready; one that cannot start says why', async () => {
    const record = await until((r) =>
      SERVICES.every((s) => r.services[s]?.state === (s === 'exec' ? 'failed' : 'ready')),
    )
    assert.equal(record.nats.state, 'ready')
    assert.equal(record.services.exec.reason, 'exec lacks a tool')
    assert.equal(new Set(recordedProcesses(record).map((p) => p.pid)).size, 6)
  })

  test('a killed service is started again at once', async () => {
    const before = (await until((r) => r.services.engine.state === 'ready')).services.engine.process
    assert.ok(before)
    const killed = Date.now()
    process.kill(before.pid, 'SIGKILL')
    const after = await until(
      (r) => r.services.engine.state === 'ready' && r.services.engine.process?.pid !== before.pid,
    )
    assert.ok(Date.now() - killed < 2000)
    assert.equal(after.services.engine.reason, 'killed by SIGKILL')
    assert.equal(after.services.engine.restarts, 1)
  })

  test('a killed nats-server comes back on its port', async () => {
    const before = (await until((r) => r.nats.state === 'ready')).nats.process
    assert.ok(before)
    process.kill(before.pid, 'SIGKILL')
    const after = await until((r) => r.nats.state === 'ready' && r.nats.process?.pid !== before.pid)
    const ports = readFileSync(join(paths.natsDir, `nats-server_${after.nats.process?.pid}.ports`), 'utf8')
    assert.ok(ports.includes(plan.natsUrl), ports)
  })

  test('stop ends everything and takes the record away', async () => {
    const record = readRecord(paths.record)
    assert.ok(record)
    await supervisor.stop()
    assert.deepEqual(recordedProcesses(record).filter(isAlive), [])
    assert.equal(readRecord(paths.record), undefined)
  })
})
