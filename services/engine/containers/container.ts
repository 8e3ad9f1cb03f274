import type { MountPoint, SandboxInfo } from '../../../shared/contracts/index.ts'
import type { Config, EndpointSettings, HostConfig } from '../config/schema.ts'

export const STATUSES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const
/** Docker's container states. A process exists in `running` and `paused` only. */
export type Status = (typeof STATUSES)[number]

/** Go's zero time, as Docker shows "never". */
export const NEVER = '0001-01-01T00:00:00Z'

export interface HealthResult {
  readonly Start: string
  readonly End: string
  readonly ExitCode: number
  readonly Output: string
}
export interface HealthState {
  readonly Status: 'starting' | 'healthy' | 'unhealthy'
  readonly FailingStreak: number
  /** The latest five. */
  readonly Log: readonly HealthResult[]
}

/** What changes while a container lives. */
export interface ContainerState {
  readonly status: Status
  /** Host pid of the first process; 0 when there is none. */
  readonly pid: number
  /** Of the current or latest run: what process.run was called with. Empty before the first. */
  readonly instance: string
  readonly exitCode: number
  /** Why the latest start failed; empty otherwise. */
  readonly error: string
  readonly oomKilled: boolean
  /** How many OOM kills of the run have been told; absent: none. */
  readonly oomKills?: number
  readonly startedAt: string
  readonly finishedAt: string
  /** How many runs have ended. */
  readonly exits: number
  /** Restarts by policy since a user's last start. */
  readonly restartCount: number
  /** A user stopped it: no policy starts it again. */
  readonly manuallyStopped: boolean
  readonly logPath: string
  /** Of one whose IPC is shareable: its /dev/shm on the host. */
  readonly shmPath?: string | undefined
  /** The network as it is while it runs. */
  readonly sandbox?: SandboxInfo | undefined
  readonly health?: HealthState | undefined
}

/** A container: what was asked for, complete and checked, and how it is. Values are never changed in place. */
export interface Container {
  readonly id: string
  readonly name: string
  /** RFC 3339 */
  readonly created: string
  /** The image as the user named it. */
  readonly image: string
  readonly imageId: string
  readonly platform: string
  readonly config: Config
  readonly hostConfig: HostConfig
  /** Wishes for networks, by the network's name. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>
  /** Of the default bridge: the containers that HostConfig.Links meant when it was made. */
  readonly links: readonly { readonly id: string; readonly name: string; readonly alias: string }[]
  readonly storageDriver: string
  readonly storageData: Readonly<Record<string, string>>
  readonly mountPoints: readonly MountPoint[]
  readonly state: ContainerState
}

export const INITIAL_STATE: ContainerState = {
  status: 'created',
  pid: 0,
  instance: '',
  exitCode: 0,
  error: '',
  oomKilled: false,
  startedAt: NEVER,
  finishedAt: NEVER,
  exits: 0,
  restartCount: 0,
  manuallyStopped: false,
  logPath: '',
}

/** Whether it has a process. */
export const isAlive = (c: Container): boolean => c.state.status === 'running' || c.state.status === 'paused'

/** The argument vector: entrypoint, then command. */
export const commandLine = (c: Container): string[] => [...(c.config.Entrypoint ?? []), ...(c.config.Cmd ?? [])]

export const withState = (c: Container, change: Partial<ContainerState>): Container => ({
  ...c,
  state: { ...c.state, ...change },
})
