import { statSync } from 'node:fs'
import { readCredentials } from '../../shared/bus/index.ts'
import { loadConfig } from '../../shared/config/index.ts'
import { startService, type ServiceModule, type StartedService } from '../../shared/service/index.ts'
import { credentialsPath, SERVICES, type ServiceName } from '../supervisor/paths.ts'
import type { ChildMessage } from '../supervisor/child.ts'
import { CliError } from './fail.ts'

const MODULES: Readonly<Record<ServiceName, () => Promise<{ service: ServiceModule }>>> = {
  gateway: () => import('../gateway/main.ts'),
  engine: () => import('../engine/main.ts'),
  network: () => import('../network/main.ts'),
  storage: () => import('../storage/main.ts'),
  cgroup: () => import('../cgroup/main.ts'),
  exec: () => import('../exec/main.ts'),
}

/**
 * `gantry service <name...>`: runs services in this process until SIGTERM. GANTRY_NATS_URL names the server; GANTRY_NATS_CREDS
 * is a credentials file, or a folder with one for each service (`<name>.creds.json`).
 *
 * Under a supervisor (an IPC channel is there) it reports readiness, and why it failed. A supervisor that dies before that
 * may not know of this process: then it ends. Afterwards the service goes on alone, and the next `gantry up` replaces it.
 */
export async function service(names: readonly string[]): Promise<void> {
  const chosen = names.map(serviceName)
  const url = process.env['GANTRY_NATS_URL']
  const credentials = process.env['GANTRY_NATS_CREDS']
  if (url === undefined || credentials === undefined) {
    throw new CliError('set GANTRY_NATS_URL (nats://host:port) and GANTRY_NATS_CREDS (a credentials file)')
  }
  const config = loadConfig()
  const started: StartedService[] = []
  let ready = false
  let ending = false
  const end = (code: number): void => {
    if (ending) return
    ending = true
    void Promise.allSettled(started.map((running) => running.stop())).then(() => process.exit(code))
  }
  process.on('SIGTERM', () => end(0)).on('SIGINT', () => end(0))
  process.once('disconnect', () => {
    if (!ready) end(1)
  })
  process.on('uncaughtExceptionMonitor', (error) => void tell({ type: 'failed', reason: error.message }))
  try {
    await Promise.all(
      chosen.map(async (name) => {
        const { service: module } = await MODULES[name]()
        const file = statSync(credentials).isDirectory() ? credentialsPath(credentials, name) : credentials
        started.push(await startService(module, { config, natsUrl: url, credentials: readCredentials(file) }))
      }),
    )
  } catch (error) {
    if (ending) return
    await tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) })
    // What started already must not keep this process alive.
    process.exitCode = 1
    process.stderr.write(`gantry service ${names.join(' ')}: ${error instanceof Error ? error.stack : String(error)}\n`)
    end(1)
    return
  }
  ready = true
  await tell({ type: 'ready' })
}

function serviceName(name: string): ServiceName {
  const found = SERVICES.find((service) => service === name)
  if (found === undefined) throw new CliError(`no service "${name}": there are ${SERVICES.join(', ')}`)
  return found
}

/** Tells the supervisor, if there is one that still listens. */
function tell(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}
