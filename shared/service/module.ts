import type { Bus } from '../bus/index.ts'
import type { Config } from '../config/index.ts'
import type { Contract, DriverInfo, Handlers } from '../contracts/index.ts'
import type { DriverContext } from '../drivers/index.ts'
import type { Logger } from '../log/index.ts'
import type { Store } from '../store/index.ts'
import type { StreamServer } from '../streams/index.ts'

/** What a service is given when it starts. */
export interface ServiceContext {
  readonly name: string
  readonly config: Config
  readonly log: Logger
  readonly bus: Bus
  /** The service's own database, migrated. A service without `migrations` must not touch it. */
  readonly store: Store
  /** Offers byte streams, where the module says `offersStreams`; the address goes into replies. */
  readonly streams: StreamServer
  /** `<root>/<service>`, made. */
  readonly stateDir: string
  /** `<run>/<service>`, made. */
  readonly runDir: string
  /** The context that a driver of this service gets, with directories of its own. */
  driverContext(kind: string, driver: string): DriverContext
}

/** A started service. */
export interface RunningService<C extends Contract> {
  /** All verbs but `health`, which the frame answers. */
  readonly handlers: Omit<Handlers<C>, 'health'>
  warnings(): readonly string[]
  drivers(): readonly DriverInfo[]
  /** Called once all verbs are served and the ready fact is out. */
  ready?(): Promise<void>
  /** The drain begins: whatever waits for something (a long poll) ends now, so that requests under way can be answered. */
  drain?(): void
  /** Drain: finish what is under way; containers stay as they are. */
  stop(): Promise<void>
}

/** What `services/<name>/main.ts` exports as `service`. */
export interface ServiceModule<C extends Contract = Contract> {
  readonly contract: C
  /** SQL, one string a schema version, applied in order and never edited once released. */
  readonly migrations: readonly string[]
  /** Whether it offers byte streams; others are spared the server. */
  readonly offersStreams?: boolean
  /** Recovers (compares the database with the kernel), then returns the handlers. */
  start(context: ServiceContext): Promise<RunningService<C>>
}
