import { randomBytes } from 'node:crypto'
import type { Bus } from '../../shared/bus/index.ts'
import type { Config } from '../../shared/config/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { GroupStats, InterfaceStats } from '../../shared/contracts/index.ts'
import type { Store } from '../../shared/store/index.ts'
import { Locks } from '../../shared/async/locks.ts'
import { Counts } from './containers/counts.ts'
import { Containers } from './containers/registry.ts'
import { Execs } from './execs/registry.ts'
import { FacilitySource } from './facilities.ts'
import { HealthMonitor } from './health/monitor.ts'
import { Jobs } from './jobs/runner.ts'
import { Lower } from './lower.ts'
import { Gate } from './recovery/gate.ts'
import { Requests } from './requests.ts'
import { Restarter } from './restart/restarter.ts'
import { Gatherer } from './views/gatherer.ts'

/** What every job works with. */
export interface Engine {
  readonly config: Config
  readonly log: Logger
  readonly store: Store
  readonly lower: Lower
  readonly containers: Containers
  readonly locks: Locks
  readonly jobs: Jobs
  readonly execs: Execs
  readonly facilities: FacilitySource
  /** Closed while a lower service is told what to keep. */
  readonly gate: Gate
  /** Which requests are being done, and what became of those that were. */
  readonly requests: Requests
  readonly restarter: Restarter
  readonly health: HealthMonitor
  /** Samples of a container's group and of the interfaces of its sandbox. */
  readonly samples: {
    readonly group: Gatherer<GroupStats>
    readonly network: Gatherer<Readonly<Record<string, InterfaceStats>>>
  }
  /** Containers that a user is removing by force, and whether their anonymous volumes go too. */
  readonly removing: Map<string, { readonly volumes: boolean }>
  /** Containers that a user is restarting: their end is no reason to remove them. */
  readonly restarting: Counts
  /** Aborted when the service stops: what waits, ends. */
  readonly stopping: AbortController
}

interface EngineOptions {
  readonly config: Config
  readonly log: Logger
  readonly store: Store
  readonly bus: Pick<Bus, 'client'>
  /** For tests: how long a service that is not there is waited for. */
  readonly patienceMs?: number
}

export function createEngine({ config, log, store, bus, patienceMs }: EngineOptions): Engine {
  const lower = new Lower(bus, patienceMs)
  const requests = new Requests(store)
  return {
    config,
    log,
    store,
    lower,
    containers: new Containers(store),
    locks: new Locks(),
    jobs: new Jobs(store, log, requests),
    execs: new Execs(store),
    facilities: new FacilitySource(lower, config.logOptions ?? {}),
    gate: new Gate(),
    requests,
    restarter: new Restarter(),
    health: new HealthMonitor(),
    samples: {
      group: new Gatherer((ids) => lower.cgroup['group.stats']({ ids })),
      network: new Gatherer((ids) => lower.network['sandbox.stats']({ ids })),
    },
    removing: new Map(),
    restarting: new Counts(),
    stopping: new AbortController(),
  }
}

/** 64 hex digits. */
export const newId = (): string => randomBytes(32).toString('hex')
