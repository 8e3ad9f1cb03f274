import type {
  ExecContract,
  Mount,
  NamespaceMode,
  ProcessSpec,
  RequestOf,
  RunRequest,
} from '../../../shared/contracts/index.ts'
import { mergeEnv } from '../config/image.ts'
import { deviceCgroupRules, devices, rlimits, sysctls } from '../config/process-limits.ts'
import { parseShareMode } from '../config/modes.ts'
import type { ExecConfig, HostConfig } from '../config/schema.ts'
import { capabilities, securityOptions } from '../config/security.ts'
import { commandLine, type Container } from '../containers/container.ts'
import { hostName } from './requests.ts'

/** What the other services said, and whom the container shares namespaces with. */
export interface RunInputs {
  readonly instance: string
  readonly rootfs: string
  readonly mounts: readonly Mount[]
  readonly netns: string | null
  readonly cgroupsPath: string
  readonly systemdCgroup: boolean
  readonly cgroupResources: RunRequest['cgroupResources']
  /** Containers whose network, pid and ipc namespaces are joined; all of them run. */
  readonly network: Container | undefined
  readonly pid: Container | undefined
  readonly ipc: Container | undefined
}

/** The part of a run that can be refused when the container is made; undefined when all of it is as by default. */
export function checkRequest(hostConfig: HostConfig): RequestOf<ExecContract['verbs']['process.check']> | undefined {
  const { seccomp } = securityOptions(hostConfig.SecurityOpt ?? [])
  const request = {
    runtime: hostConfig.Runtime ?? '',
    log: { driver: hostConfig.LogConfig?.Type ?? '', options: hostConfig.LogConfig?.Config ?? {} },
    capAdd: capabilities('CapAdd', hostConfig.CapAdd ?? []),
    capDrop: capabilities('CapDrop', hostConfig.CapDrop ?? []),
    deviceCgroupRules: deviceCgroupRules(hostConfig.DeviceCgroupRules ?? []),
    rlimits: rlimits(hostConfig.Ulimits ?? []),
    seccomp,
    init: hostConfig.Init ?? false,
  }
  const { log, capAdd, capDrop } = request
  const plain =
    request.runtime === '' && log.driver === '' && Object.keys(log.options).length === 0 && seccomp === 'default'
  const lists = [capAdd, capDrop, request.deviceCgroupRules, request.rlimits]
  return plain && !request.init && lists.every((list) => list.length === 0) ? undefined : request
}

/** From a container and the replies of storage, network and cgroup: what the exec service is to run. */
export function runRequest(container: Container, inputs: RunInputs): RunRequest {
  const { config, hostConfig } = container
  const security = securityOptions(hostConfig.SecurityOpt ?? [])
  const privileged = hostConfig.Privileged ?? false
  return {
    id: container.id,
    instance: inputs.instance,
    name: container.name,
    runtime: hostConfig.Runtime ?? '',
    rootfs: inputs.rootfs,
    readonlyRootfs: hostConfig.ReadonlyRootfs ?? false,
    mounts: [...inputs.mounts],
    netns: inputs.netns,
    cgroupsPath: inputs.cgroupsPath,
    systemdCgroup: inputs.systemdCgroup,
    ...(inputs.cgroupResources === undefined ? {} : { cgroupResources: inputs.cgroupResources }),
    process: processSpec(container),
    stdin: config.OpenStdin ?? false,
    stdinOnce: config.StdinOnce ?? false,
    hostname: hostName(container, inputs.network),
    domainname: (inputs.network ?? container).config.Domainname ?? '',
    namespaces: {
      pid: namespace(container, 'PidMode', inputs.pid),
      ipc: namespace(container, 'IpcMode', inputs.ipc),
      uts: namespace(container, 'UTSMode', undefined),
      cgroup: namespace(container, 'CgroupnsMode', undefined),
    },
    shmSize: hostConfig.ShmSize ?? 0,
    ...(inputs.ipc?.state.shmPath === undefined ? {} : { shmPath: inputs.ipc.state.shmPath }),
    ...(hostConfig.IpcMode === 'shareable' ? { shmShareable: true } : {}),
    ...(hostConfig.IpcMode === 'none' ? { shmMounted: false } : {}),
    devices: devices(hostConfig.Devices ?? []),
    deviceCgroupRules: deviceCgroupRules(hostConfig.DeviceCgroupRules ?? []),
    sysctls: sysctls(hostConfig).process,
    rlimits: rlimits(hostConfig.Ulimits ?? []),
    oomScoreAdj: hostConfig.OomScoreAdj ?? 0,
    ...(hostConfig.MaskedPaths ? { maskedPaths: hostConfig.MaskedPaths } : {}),
    ...(hostConfig.ReadonlyPaths ? { readonlyPaths: hostConfig.ReadonlyPaths } : {}),
    seccomp: privileged && security.seccomp === 'default' ? 'unconfined' : security.seccomp,
    init: hostConfig.Init ?? false,
    annotations: hostConfig.Annotations ?? {},
    log: logOf(container),
  }
}

export const logOf = (container: Container): RunRequest['log'] => ({
  driver: container.hostConfig.LogConfig?.Type ?? '',
  options: container.hostConfig.LogConfig?.Config ?? {},
})

const PROC_NAME = { PidMode: 'pid', IpcMode: 'ipc', UTSMode: 'uts', CgroupnsMode: 'cgroup' } as const

function namespace(container: Container, option: keyof typeof PROC_NAME, joined: Container | undefined): NamespaceMode {
  const mode = parseShareMode(option, container.hostConfig[option] ?? '')
  if (mode.kind === 'host') return { kind: 'host' }
  if (mode.kind !== 'container') return { kind: 'private' }
  return { kind: 'path', path: `/proc/${joined?.state.pid ?? 0}/ns/${PROC_NAME[option]}` }
}

/** PATH, HOSTNAME, TERM and HOME are the exec service's to add. */
function processSpec(container: Container): ProcessSpec {
  const { config, hostConfig } = container
  const tty = config.Tty ?? false
  const size = hostConfig.ConsoleSize ?? []
  return {
    args: commandLine(container),
    env: config.Env ?? [],
    cwd: config.WorkingDir ?? '',
    user: config.User ?? '',
    groupAdd: hostConfig.GroupAdd ?? [],
    tty,
    ...(tty && size.some((n) => n > 0) ? { consoleSize: size } : {}),
    ...privileges(container),
  }
}

function privileges(container: Container) {
  const { hostConfig } = container
  return {
    privileged: hostConfig.Privileged ?? false,
    capAdd: capabilities('CapAdd', hostConfig.CapAdd ?? []),
    capDrop: capabilities('CapDrop', hostConfig.CapDrop ?? []),
    noNewPrivileges: securityOptions(hostConfig.SecurityOpt ?? []).noNewPrivileges,
  }
}

/** A further process of a running container (docker exec): the container's surroundings, with what the user says. */
export function execProcess(
  container: Container,
  exec: ExecConfig,
  { tty, consoleSize }: { tty: boolean; consoleSize?: number[] | undefined },
): ProcessSpec {
  const { config, hostConfig } = container
  const size = consoleSize ?? exec.ConsoleSize
  return {
    args: [...(exec.Cmd ?? [])],
    env: mergeEnv(config.Env ?? [], exec.Env ?? []),
    cwd: exec.WorkingDir || (config.WorkingDir ?? ''),
    user: exec.User || (config.User ?? ''),
    groupAdd: hostConfig.GroupAdd ?? [],
    tty,
    ...(tty && size?.some((n) => n > 0) ? { consoleSize: size } : {}),
    ...privileges(container),
    privileged: (exec.Privileged ?? false) || (hostConfig.Privileged ?? false),
  }
}
