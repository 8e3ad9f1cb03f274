import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { connectBus, type Credentials } from '../bus/index.ts'
import type { Config } from '../config/index.ts'
import type { Contract, Handlers, Health } from '../contracts/index.ts'
import type { DriverContext } from '../drivers/index.ts'
import { internal } from '../errors/index.ts'
import { createLogger, type Logger } from '../log/index.ts'
import { startRelay, Store } from '../store/index.ts'
import type { StreamServer } from '../streams/types.ts'
import type { ServiceContext, ServiceModule } from './module.ts'
import { VERSION } from './version.ts'

export interface StartOptions {
  readonly config: Config
  readonly natsUrl: string
  readonly credentials: Credentials
}

export interface StartedService {
  readonly name: string
  health(): Health
  /** Finishes what is under way, then lets go of bus, streams and database. Containers stay as they are. */
  stop(): Promise<void>
}

/**
 * Brings a service up: bus, database, streams, the service's own start (which is its recovery), then its verbs, then the fact that
 * it is ready. Whatever fails here ends the service: its supervisor starts it again.
 */
export async function startService<C extends Contract>(
  module: ServiceModule<C>,
  options: StartOptions,
): Promise<StartedService> {
  const { config } = options
  const name = module.contract.service
  const log = createLogger(name, config.logLevel)
  const stateDir = join(config.root, name)
  const runDir = join(config.run, name)
  for (const dir of [stateDir, runDir]) mkdirSync(dir, { recursive: true, mode: 0o711 })

  const bus = await connectBus({ url: options.natsUrl, credentials: options.credentials, node: config.node, log })
  const streams = module.offersStreams === true ? await serveStreams(config, name, log) : noStreams(name)
  const store = new Store(
    module.migrations.length > 0 ? join(stateDir, `${name}.db`) : ':memory:',
    module.migrations,
    config.node,
  )
  const relay = await startRelay(store, bus, log)
  const driverContext = (kind: string, driver: string): DriverContext => {
    const dirs = { stateDir: join(stateDir, kind, driver), runDir: join(runDir, kind, driver) }
    for (const dir of [dirs.stateDir, dirs.runDir]) mkdirSync(dir, { recursive: true, mode: 0o711 })
    return { log: log.child({ driver: `${kind}/${driver}` }), engine: config.engine, ...dirs }
  }
  const context: ServiceContext = { name, config, log, bus, store, streams, stateDir, runDir, driverContext }

  const running = await module.start(context)
  const health = (): Health => ({
    service: name,
    pid: process.pid,
    version: VERSION,
    ready: true,
    uptime: process.uptime(),
    warnings: [...running.warnings()],
    drivers: [...running.drivers()],
  })
  const handlers = { ...running.handlers, health: async () => health() } as unknown as Handlers<C>
  const served = await bus.serve(module.contract, handlers)
  await bus.tellFact('service.ready', { service: name, pid: process.pid }, `${name}:${process.pid}:${Date.now()}`)
  await running.ready?.()
  log.info({ version: VERSION }, 'ready')

  return {
    name,
    health,
    async stop() {
      running.drain?.()
      await served.stop()
      await running.stop()
      await relay.stop()
      await streams.close()
      await bus.close()
      store.close()
      log.info('stopped')
    },
  }
}

/** gRPC is loaded only where streams are offered: it is a fifth of a small service's memory. */
async function serveStreams(config: Config, name: string, log: Logger): Promise<StreamServer> {
  const { createStreamServer } = await import('../streams/server.ts')
  return createStreamServer({ path: join(config.run, 'streams', `${name}.sock`), log })
}

const noStreams = (name: string): StreamServer => ({
  offer: () => {
    throw internal(`the ${name} service offers a stream, but its module does not say so (offersStreams)`)
  },
  close: async () => undefined,
})
