import { loadConfig } from '../../shared/config/index.ts'
import {
  enginePaths,
  isAlive,
  SERVICES,
  startSupervisor,
  untilRecord,
  type SupervisorRecord,
} from '../supervisor/index.ts'
import { CliError } from './fail.ts'
import { requireTools } from './tools.ts'

const READY_MS = 60_000
/** Ended so often by itself while starting, a service is taken to have something wrong that does not pass. */
const HOPELESS = 4

/** `gantry up`: starts the engine unless it runs, and waits until every service is ready. */
export async function up(options: { singleProcess?: boolean; foreground?: boolean }): Promise<void> {
  requireTools(['nats-server'])
  const config = loadConfig()
  const paths = enginePaths(config)
  const started = await startSupervisor(config, {
    mode: options.singleProcess === true ? 'single-process' : 'processes',
    modeAsked: options.singleProcess === true,
    ...(options.foreground === true ? { inProcess: (await import('../supervisor/foreground.ts')).superviseHere } : {}),
  })
  await untilRecord(paths.record, READY_MS, (record) => allReady(record, paths.log))
  if (options.foreground === true && !started) {
    throw new CliError('the engine is running already, not in the foreground: run `gantry down` first')
  }
  const { status } = await import('./status.ts')
  await status({})
}

function allReady(record: SupervisorRecord | undefined, log: string): boolean {
  if (record === undefined || !isAlive(record.supervisor)) {
    throw new CliError(`the supervisor ended while the engine was starting: see ${log}`)
  }
  const children = [record.nats, ...SERVICES.map((name) => record.services[name])]
  const hopeless = children.filter((child) => child.state !== 'ready' && child.restarts >= HOPELESS)
  if (hopeless.length > 0) {
    const reasons = hopeless.map((child) => `${child.name}: ${child.reason ?? 'no reason known'}`)
    throw new CliError(`does not start (it will be tried again; see ${log}):\n  ${reasons.join('\n  ')}`)
  }
  return children.every((child) => child.state === 'ready')
}
