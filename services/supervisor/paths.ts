import { join } from 'node:path'
import type { Config } from '../../shared/config/index.ts'

/** The six services, in the order in which `status` lists them. */
export const SERVICES = ['gateway', 'engine', 'network', 'storage', 'cgroup', 'exec'] as const
export type ServiceName = (typeof SERVICES)[number]

/** Those that have credentials for the bus: the services, and the operator's CLI. */
export const BUS_USERS = [...SERVICES, 'admin'] as const
export type BusUser = (typeof BUS_USERS)[number]

/** The files of a supervised engine. */
export interface EnginePaths {
  /** What runs (SupervisorRecord). */
  readonly record: string
  /** Held (flock) by an `up` or `down` while it looks at the record and acts on it. */
  readonly lock: string
  readonly logDir: string
  /** What the supervisor and the services write: JSON lines. */
  readonly log: string
  /** nats-server's configuration, credentials and run-time files; mode 0700. */
  readonly natsDir: string
  readonly natsConfig: string
  /** `GANTRY_NATS_URL=...`: for systemd's EnvironmentFile, and for `gantry status` where no supervisor runs. */
  readonly natsEnvironment: string
  readonly natsLog: string
  /** JetStream's files: events outlive a reboot. */
  readonly natsStore: string
}

export function enginePaths(config: Pick<Config, 'root' | 'run'>): EnginePaths {
  const natsDir = join(config.run, 'nats')
  const logDir = join(config.root, 'logs')
  return {
    record: join(config.run, 'supervisor.json'),
    lock: join(config.run, 'supervisor.lock'),
    logDir,
    log: join(logDir, 'gantry.log'),
    natsDir,
    natsConfig: join(natsDir, 'nats.conf'),
    natsEnvironment: join(natsDir, 'environment'),
    natsLog: join(logDir, 'nats.log'),
    natsStore: join(config.root, 'nats'),
  }
}

/** A bus user's credentials file. */
export const credentialsPath = (natsDir: string, user: BusUser): string => join(natsDir, `${user}.creds.json`)
