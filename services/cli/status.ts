import type { Config } from '../../shared/config/index.ts'
import { loadConfig } from '../../shared/config/index.ts'
import type { Health } from '../../shared/contracts/index.ts'
import {
  enginePaths,
  isAlive,
  readNatsUrl,
  readRecord,
  SERVICES,
  type ServiceName,
  type SupervisorRecord,
} from '../supervisor/index.ts'
import { askHealth } from './health.ts'
import { duration, table } from './table.ts'

interface ServiceStatus {
  readonly name: ServiceName
  readonly state: string
  readonly ready: boolean
  readonly pid: number | null
  readonly version: string | null
  /** Where it is reached: the API's socket, or the prefix of its subjects on the bus. */
  readonly address: string
  /** Seconds. */
  readonly uptime: number | null
  readonly restarts: number
  readonly warnings: readonly string[]
}

interface Status {
  readonly running: boolean
  /** `processes`, `single-process`, or `unsupervised` when the services were started one by one. */
  readonly mode: string
  readonly supervisor: number | null
  readonly node: string
  readonly root: string
  readonly run: string
  readonly socket: string
  readonly nats: { readonly pid: number | null; readonly state: string; readonly url: string | null }
  readonly services: readonly ServiceStatus[]
}

/** `gantry status`: exit code 1 unless all services are ready. */
export async function status(options: { json?: boolean }): Promise<void> {
  const state = await collect(loadConfig())
  process.stdout.write(options.json === true ? JSON.stringify(state, null, 2) + '\n' : humanText(state))
  if (!state.services.every((service) => service.ready)) process.exitCode = 1
}

async function collect(config: Config): Promise<Status> {
  const record = readRecord(enginePaths(config).record)
  const supervised = record !== undefined && isAlive(record.supervisor)
  const health = await askHealth(config)
  const services = SERVICES.map((name) => serviceStatus(config, name, record, health.get(name)))
  return {
    running: supervised || services.some((service) => service.ready),
    mode: supervised ? record.mode : 'unsupervised',
    supervisor: supervised ? record.supervisor.pid : null,
    node: config.node,
    root: config.root,
    run: config.run,
    socket: config.socket,
    nats: {
      pid: isAlive(record?.nats.process) ? (record?.nats.process?.pid ?? null) : null,
      state: record?.nats.state ?? 'external',
      url: process.env['GANTRY_NATS_URL'] ?? readNatsUrl(enginePaths(config)) ?? null,
    },
    services,
  }
}

function serviceStatus(
  config: Config,
  name: ServiceName,
  record: SupervisorRecord | undefined,
  health: Health | undefined,
): ServiceStatus {
  const child = record?.services[name]
  const alive = isAlive(child?.process)
  const trouble = health === undefined && child?.reason !== undefined ? [`ended: ${child.reason}`] : []
  return {
    name,
    state: health !== undefined ? (health.ready ? 'ready' : 'starting') : alive ? (child?.state ?? 'starting') : 'down',
    ready: health?.ready === true,
    pid: health?.pid ?? (alive ? (child?.process?.pid ?? null) : null),
    version: health?.version ?? null,
    address: name === 'gateway' ? `unix://${config.socket}` : `gantry.${config.node}.${name}`,
    uptime: health?.uptime ?? null,
    restarts: child?.restarts ?? 0,
    warnings: [...(health?.warnings ?? []), ...trouble],
  }
}

function humanText(state: Status): string {
  if (!state.running) return 'not running: start it with `gantry up`\n'
  const rows = state.services.map((service) => [
    service.name,
    service.state,
    String(service.pid ?? '-'),
    service.version ?? '-',
    service.uptime === null ? '-' : duration(service.uptime),
    String(service.restarts),
    service.address,
  ])
  const warnings = state.services.flatMap((service) =>
    service.warnings.map((warning) => `${service.name}: ${warning}\n`),
  )
  return (
    table([['SERVICE', 'STATE', 'PID', 'VERSION', 'UP', 'RESTARTS', 'ADDRESS'], ...rows]) +
    `nats-server ${state.nats.state}${state.nats.pid === null ? '' : ` (pid ${state.nats.pid})`}, ${state.mode}\n` +
    warnings.join('')
  )
}
