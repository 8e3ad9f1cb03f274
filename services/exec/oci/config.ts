import type { NamespaceMode, RunRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { MASKED_PATHS, READONLY_PATHS } from './defaults.ts'
import type { DevicePlan } from './devices.ts'
import { planMounts } from './mounts.ts'
import { planProcess } from './process.ts'
import type { OciSeccomp } from './seccomp.ts'
import type { ResolvedUser } from './users.ts'

/** What the planner must be told of the host and of the container's root file system. */
export interface BundleFacts {
  readonly user: ResolvedUser
  readonly capabilities: readonly string[]
  readonly devices: DevicePlan
  /** Undefined: unconfined. */
  readonly seccomp: OciSeccomp | undefined
  readonly hostname: string
  /** Path of an init on the host (tini), where the request wants one. */
  readonly initPath?: string
}

/** Where the init is seen in the container; Docker's place. */
const INIT_TARGET = '/sbin/docker-init'

const NAMESPACES = { pid: 'pid', ipc: 'ipc', uts: 'uts', cgroup: 'cgroup' } as const

/**
 * config.json of the OCI runtime specification 1.0 for a request. Pure: everything it depends on is in its arguments.
 * The result is what Docker would write for the same container.
 */
export function planConfig(request: RunRequest, facts: BundleFacts): Record<string, unknown> {
  const { process: spec } = request
  const usesInit = request.init && facts.initPath !== undefined && request.namespaces.pid.kind === 'private'
  const args = usesInit ? [INIT_TARGET, '--', ...spec.args] : spec.args
  const uts = request.namespaces.uts.kind === 'private'
  const process = planProcess({ ...spec, args }, facts.user, facts.capabilities, facts.hostname)
  const mounts = planMounts(request)
  if (usesInit) {
    mounts.push({ destination: INIT_TARGET, type: 'bind', source: facts.initPath ?? '', options: ['bind', 'ro'] })
  }
  return {
    ociVersion: '1.0.2',
    process: {
      ...process,
      rlimits: request.rlimits.map(planRlimit),
      oomScoreAdj: request.oomScoreAdj,
    },
    root: { path: request.rootfs, readonly: request.readonlyRootfs },
    ...(uts && request.hostname !== '' ? { hostname: request.hostname } : {}),
    mounts,
    annotations: request.annotations,
    linux: {
      namespaces: planNamespaces(request),
      cgroupsPath: request.cgroupsPath,
      resources: { ...request.cgroupResources, devices: facts.devices.rules },
      devices: facts.devices.devices,
      sysctl: planSysctls(request, uts),
      maskedPaths: request.maskedPaths ?? (spec.privileged ? [] : MASKED_PATHS),
      readonlyPaths: request.readonlyPaths ?? (spec.privileged ? [] : READONLY_PATHS),
      ...(facts.seccomp ? { seccomp: facts.seccomp } : {}),
    },
  }
}

function planNamespaces(request: RunRequest): { type: string; path?: string }[] {
  const namespaces: { type: string; path?: string }[] = [{ type: 'mount' }]
  if (request.netns !== null) namespaces.push({ type: 'network', ...(request.netns ? { path: request.netns } : {}) })
  for (const [key, type] of Object.entries(NAMESPACES)) {
    const mode: NamespaceMode = request.namespaces[key as keyof typeof NAMESPACES]
    if (mode.kind === 'private') namespaces.push({ type })
    else if (mode.kind === 'path') namespaces.push({ type, path: mode.path })
  }
  return namespaces
}

/**
 * Docker opens low ports and ping to every user of a container that has a network namespace. The domain name is a sysctl because
 * the OCI field for it is newer than the runtimes.
 */
function planSysctls(request: RunRequest, uts: boolean): Record<string, string> {
  const network: Record<string, string> =
    request.netns === null
      ? {}
      : { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' }
  const domain: Record<string, string> =
    uts && request.domainname !== '' ? { 'kernel.domainname': request.domainname } : {}
  return { ...network, ...domain, ...request.sysctls }
}

/** `nofile` and `RLIMIT_NOFILE` are the same; -1 is no limit. */
export function planRlimit({ type, soft, hard }: RunRequest['rlimits'][number]): {
  type: string
  soft: number
  hard: number
} {
  const name = type.toUpperCase()
  const full = name.startsWith('RLIMIT_') ? name : `RLIMIT_${name}`
  if (!RLIMITS.has(full)) throw invalid(`invalid ulimit type: ${type}`)
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`)
  }
  return { type: full, soft: soft === -1 ? UNLIMITED : soft, hard: hard === -1 ? UNLIMITED : hard }
}

/** RLIM_INFINITY is 2^64-1, which JSON numbers of JavaScript cannot say: `writeConfig` puts it in. */
const UNLIMITED = Number.MAX_SAFE_INTEGER

const RLIMITS = new Set(
  'AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK'
    .split(' ')
    .map((n) => `RLIMIT_${n}`),
)

/** config.json as text, with RLIM_INFINITY where the plan says UNLIMITED. (Within a string the quotes would be escaped.) */
export const writeConfig = (config: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(config).replace(UNLIMITED_MEMBER, '"$1":18446744073709551615')

const UNLIMITED_MEMBER = new RegExp(`"(soft|hard)":${UNLIMITED}`, 'g')
