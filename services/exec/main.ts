import { join } from 'node:path'
import { execContract, type ExecContract } from '../../shared/contracts/index.ts'
import { DriverSet, type DriverContext, type ExecDriver, type LogDriver } from '../../shared/drivers/index.ts'
import { conflict } from '../../shared/errors/index.ts'
import type { RunningService, ServiceContext, ServiceModule } from '../../shared/service/module.ts'
import { BundleBuilder } from './bundle.ts'
import { check } from './check.ts'
import { ExecDrivers } from './drivers.ts'
import { FactTeller } from './facts.ts'
import { info } from './info.ts'
import { LogStreams } from './log-stream.ts'
import { LogKeeper } from './logs.ts'
import { migrations } from './migrations.ts'
import { Processes } from './processes.ts'
import { recover } from './recover.ts'
import { Records } from './records.ts'
import { Sessions } from './sessions.ts'
import { SharedMemory } from './shm.ts'
import { Attachments } from './stdio/attachments.ts'
import { sendRest } from './stdio/resume.ts'
import { top } from './top.ts'

/** The exec service: processes, their stdio, logs and exit codes. */
export const service: ServiceModule<ExecContract> = { contract: execContract, migrations, offersStreams: true, start }

async function start(context: ServiceContext): Promise<RunningService<ExecContract>> {
  const { config, log, streams } = context
  const exec = await DriverSet.load<ExecDriver, DriverContext>(
    'exec',
    (name) => context.driverContext('exec', name),
    config.defaultDrivers?.['exec'],
  )
  const logDrivers = await DriverSet.load<LogDriver, DriverContext>(
    'log',
    (name) => context.driverContext('log', name),
    config.defaultDrivers?.['log'],
  )
  const drivers = new ExecDrivers(exec, logDrivers)
  const bundles = new BundleBuilder()
  const records = new Records(context.store)
  const facts = new FactTeller(context.bus, log)
  const shm = new SharedMemory(join(context.runDir, 'shm'))
  const attachments = new Attachments(streams)
  const logs = new LogKeeper(drivers, log)
  const processes = new Processes({ records, drivers, bundles, attachments, logs, facts, shm, log })
  const sessions = new Sessions({ records, drivers, bundles, processes, facts, streams, log })
  const logStreams = new LogStreams(drivers, logs, processes)
  await recover({ records, drivers, processes, sessions, shm, log })

  return {
    handlers: {
      'process.check': async (request) => {
        check(request, drivers, bundles)
        return {}
      },
      'process.run': (request) => processes.run(request),
      'process.signal': async ({ id, signal, key }) => {
        processes.signal(id, signal, key)
        return {}
      },
      'process.delete': async ({ id }) => {
        await processes.delete(id)
        return {}
      },
      'process.purge': async ({ id }) => {
        await processes.delete(id)
        attachments.end(id)
        await Promise.all(logDrivers.usable().map((driver) => driver.remove(id)))
        return {}
      },
      'process.state': async ({ id }) => processes.state(id),
      'process.list': async () => processes.list(),
      'process.resize': async ({ id, rows, columns }) => {
        processes.resize(id, rows, columns)
        return {}
      },
      'process.attach': async (request) => {
        const logRequest = { ...request, since: 0, until: 0, tail: -1, follow: false, timestamps: false, details: '' }
        const { id, resume } = request
        if (request.unrun && processes.hasRun(id)) throw conflict(`container ${id} has been started meanwhile`)
        const missed = request.instance !== undefined && !processes.runs(id, request.instance)
        if (resume && logStreams.readable(request)) {
          const { since, until, ended } = resume
          const rest = logStreams.send({ ...logRequest, since, until, follow: !ended })
          const inputOnly = { ...request, stdout: false, stderr: false, missed: missed || ended }
          return { stream: attachments.attach(id, inputOnly, { output: (stream) => sendRest(stream, resume, rest) }) }
        }
        if (!request.stream) {
          const log = request.logs ? logStreams.serve(logRequest) : async () => undefined
          return { stream: streams.offer(log) }
        }
        const before = request.logs && !resume ? { before: logStreams.send(logRequest) } : {}
        return { stream: attachments.attach(id, { ...request, missed: missed || resume?.ended === true }, before) }
      },
      'process.logs': async (request) => ({ stream: streams.offer(logStreams.serve(request)) }),
      'process.top': ({ pids, psArgs }) => top(pids, psArgs),
      'process.reconcile': async ({ keep }) => {
        const kept = new Set(keep)
        const removed = [...records.processes.keys()].filter((id) => !kept.has(id))
        for (const id of removed) await processes.delete(id)
        for (const driver of logDrivers.usable()) {
          for (const id of await driver.list()) if (!kept.has(id)) await driver.remove(id)
        }
        return { removed }
      },
      'session.start': (request) => sessions.start(request),
      'session.attach': async (request) => ({ stream: sessions.attach(request) }),
      'session.state': async ({ id }) => sessions.state(id),
      'session.kill': async ({ id }) => {
        sessions.kill(id)
        return {}
      },
      'session.resize': async ({ id, rows, columns }) => {
        sessions.resize(id, rows, columns)
        return {}
      },
      info: async () => info(drivers, bundles),
    },
    warnings: () => warnings(drivers, bundles),
    drivers: () => [...exec.list(), ...logDrivers.list()],
    stop: async () => {
      facts.stop()
      logs.stop()
      await Promise.all([exec.close(), logDrivers.close()])
    },
  }
}

function warnings(drivers: ExecDrivers, bundles: BundleBuilder): string[] {
  const found: string[] = []
  if (drivers.exec.defaultName === undefined) {
    const reasons = drivers.exec.list().map((d) => `${d.name}: ${d.reason ?? ''}`)
    found.push(`no container can be run here (${reasons.join('; ')})`)
  }
  if (!bundles.hasDefaultSeccomp) {
    found.push('no default seccomp profile: apt-get install golang-github-containers-common')
  }
  return found
}
