import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../shared/config/index.ts'
import { conflict, unavailable } from '../../shared/errors/index.ts'
import { endProcesses, isAlive } from './identity.ts'
import { findLeftovers } from './leftovers.ts'
import { withLock } from './lock.ts'
import { freePort, natsUrl, writeNatsFiles } from './nats-files.ts'
import { enginePaths, SERVICES } from './paths.ts'
import { readRecord, removeRecord, type SupervisorRecord } from './record.ts'
import type { SupervisorPlan } from './supervisor.ts'
import { untilRecord } from './watch.ts'

const here = fileURLToPath(import.meta.url)
/** V8's nursery: 16 MB by default, of which a service that mostly waits never needs more than a part; saves 12 MB a process. */
const SMALL_HEAP = '--max-semi-space-size=2'
const LOCK_MS = 60_000
const GRACE_MS = 10_000
const START_MS = 15_000

export interface StartOptions {
  readonly mode: SupervisorRecord['mode']
  /** Whether to complain when the engine runs in another mode. */
  readonly modeAsked: boolean
  /** Runs the supervisor in this process when given; otherwise it becomes a process of its own. */
  readonly inProcess?: (plan: SupervisorPlan) => void
}

/**
 * Starts the supervisor unless it runs already. What an earlier supervisor that was killed left running is ended first
 * (containers are not touched): services that serve alone, without anybody to start them again, are replaced by supervised
 * ones.
 *
 * Returns false when it was running already. Throws `conflict` when it runs in another mode than the one asked for.
 */
export async function startSupervisor(config: Config, options: StartOptions): Promise<boolean> {
  const paths = enginePaths(config)
  return withLock(paths.lock, LOCK_MS, async () => {
    const record = readRecord(paths.record)
    if (record !== undefined && isAlive(record.supervisor)) {
      if (options.modeAsked && record.mode !== options.mode) {
        throw conflict(`the engine is running in ${record.mode} mode: run \`gantry down\` first`)
      }
      return false
    }
    await endProcesses(findLeftovers(record, paths.natsConfig), GRACE_MS)
    removeRecord(paths.record)
    const port = await freePort()
    writeNatsFiles(config, port)
    const plan: SupervisorPlan = {
      mode: options.mode,
      natsUrl: natsUrl(port),
      paths,
      services: SERVICES,
      command: [
        process.execPath,
        ...process.execArgv,
        SMALL_HEAP,
        join(here, '..', '..', 'cli', `service-process${extname(here)}`),
      ],
      cwd: '/',
    }
    let ended = false
    if (options.inProcess === undefined) launch(plan).once('exit', () => (ended = true))
    else options.inProcess(plan)
    await untilRecord(paths.record, START_MS, (written) => {
      if (ended) throw unavailable(`the supervisor ended at its start: see ${paths.log}`)
      return isAlive(written?.supervisor)
    })
    return true
  })
}

/** The supervisor in a session of its own, writing to the log. */
function launch(plan: SupervisorPlan): ChildProcess {
  mkdirSync(plan.paths.logDir, { recursive: true, mode: 0o700 })
  const log = openSync(plan.paths.log, 'a', 0o600)
  const supervisor = spawn(process.execPath, [...process.execArgv, join(here, '..', `main${extname(here)}`)], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, GANTRY_SUPERVISOR_PLAN: JSON.stringify(plan) },
  })
  supervisor.unref()
  closeSync(log)
  return supervisor
}
