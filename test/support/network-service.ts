import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../shared/config/index.ts'
import type { Bus } from '../../shared/bus/index.ts'
import type {
  EndpointRequest,
  Handlers,
  NetworkContract,
  SandboxRequest,
  NetworkSample,
} from '../../shared/contracts/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import type { RunningService, ServiceContext } from '../../shared/service/module.ts'
import { Store } from '../../shared/store/store.ts'
import { service } from '../../services/network/main.ts'

type Verbs = Omit<Handlers<NetworkContract>, 'health'>

/** The network service's verbs as plain functions, without a bus. */
export interface NetworkService {
  call<V extends keyof Verbs>(verb: V, request: Parameters<Verbs[V]>[0]): ReturnType<Verbs[V]>
  readonly store: Store
  readonly running: RunningService<NetworkContract>
  /** Told so far, in order. */
  readonly samples: readonly NetworkSample[]
  /** Subjects of the events told so far. */
  events(): {
    subject: string
    payload: { Action: string; Actor: { ID: string; Attributes: Record<string, string> } }
  }[]
  stop(): Promise<void>
}

export const newId = (): string => randomBytes(32).toString('hex')

/** Starts the network service on a folder: its database and run-time files are below. */
export async function startNetworkService(
  dir: string,
  engine: string,
  network: Config['network'] = {},
): Promise<NetworkService> {
  const runDir = join(dir, 'run')
  mkdirSync(runDir, { recursive: true })
  const log = createLogger('network', process.env['TEST_LOG_LEVEL'] ?? 'silent')
  const store = new Store(join(dir, 'network.db'), service.migrations, 'local')
  const samples: NetworkSample[] = []
  const config: Config = { engine, node: 'local', root: dir, run: dir, socket: '', cgroupParent: '', network }
  const missing = new Proxy({}, { get: () => () => Promise.reject(new Error('not in this test')) })
  const context: ServiceContext = {
    name: 'network',
    config,
    log,
    store,
    stateDir: dir,
    runDir,
    bus: { publishStats: (_: string, sample: NetworkSample) => void samples.push(sample) } as unknown as Bus,
    streams: missing as ServiceContext['streams'],
    driverContext: () => ({ log, engine, stateDir: dir, runDir }),
  }
  const running = await service.start(context)
  return {
    call(verb, request) {
      const handler = running.handlers[verb] as (r: unknown, call: object) => never
      return handler(request, { verb, job: undefined, traceparent: undefined })
    },
    store,
    running,
    samples,
    events: () =>
      store
        .outboxAfter(0, 1_000_000)
        .map((row) => ({ subject: row.subject, payload: JSON.parse(row.payload) as never })),
    async stop() {
      await running.stop()
      store.close()
    },
  }
}

/** A wish for a network with nothing special. */
export const on = (network: string, more: Partial<EndpointRequest> = {}): EndpointRequest => ({
  network,
  aliases: [],
  links: [],
  ...more,
})

/** A container's sandbox with nothing special, on the default bridge. */
export const sandbox = (name: string, more: Partial<SandboxRequest> = {}): SandboxRequest => ({
  id: newId(),
  name,
  mode: { kind: 'private' },
  endpoints: more.mode && more.mode.kind !== 'private' ? [] : [on('bridge')],
  ports: [],
  hostname: name,
  domainname: '',
  dns: [],
  dnsOptions: [],
  dnsSearch: [],
  extraHosts: [],
  sysctls: {},
  labels: {},
  ...more,
})
