import { commandLine, isAlive, NEVER, type Container, type ContainerState } from '../containers/container.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { parseLink } from '../config/options.ts'
import type { HostConfig } from '../config/schema.ts'
import type { Engine } from '../engine.ts'
import { hostName } from '../plan/requests.ts'
import { networkSettings } from './network-settings.ts'

/** Docker's ContainerInspectResponse. */
export async function inspect(engine: Engine, ref: string, size: boolean): Promise<Record<string, unknown>> {
  const container = engine.containers.find(ref)
  const sizes = size ? await engine.lower.storage['rootfs.size']({ id: container.id }) : undefined
  const { state } = container
  const [path = '', ...args] = commandLine(container)
  const execs = engine.execs.of(container.id).filter((e) => e.status !== 'ended')
  return {
    Id: container.id,
    Created: container.created,
    Path: path,
    Args: args,
    State: stateView(state),
    Image: container.imageId,
    ResolvConfPath: state.sandbox?.resolvConfPath ?? '',
    HostnamePath: state.sandbox?.hostnamePath ?? '',
    HostsPath: state.sandbox?.hostsPath ?? '',
    LogPath: state.logPath,
    Name: `/${container.name}`,
    RestartCount: state.restartCount,
    Driver: container.storageDriver,
    Platform: container.platform,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execs.length > 0 ? execs.map((e) => e.id) : null,
    HostConfig: hostConfigView(container),
    GraphDriver: { Name: container.storageDriver, Data: container.storageData },
    ...(sizes ? { SizeRw: sizes.rw, SizeRootFs: sizes.total } : {}),
    Mounts: container.mountPoints,
    Config: {
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Domainname: '',
      User: '',
      Env: [],
      Cmd: null,
      Volumes: null,
      WorkingDir: '',
      Entrypoint: null,
      OnBuild: null,
      Labels: {},
      ...configView(container),
      Hostname: hostName(container, joinedNetwork(engine, container)),
      Image: container.image,
    },
    NetworkSettings: networkSettings(container),
  }
}

/** As Docker writes it: what is empty is null or left out; the MAC address that was asked for is that of the main network's endpoint. */
function configView({ config, endpoints, hostConfig }: Container): Record<string, unknown> {
  const { Volumes, Entrypoint, ExposedPorts, StopSignal, ...rest } = config
  const mac = endpoints[hostConfig.NetworkMode ?? '']?.MacAddress
  return {
    ...rest,
    ...(isEmpty(Volumes) ? {} : { Volumes }),
    ...(isEmpty(Entrypoint) ? {} : { Entrypoint }),
    ...(isEmpty(ExposedPorts) ? {} : { ExposedPorts }),
    ...(StopSignal ? { StopSignal } : {}),
    ...(mac ? { MacAddress: mac } : {}),
  }
}

const isEmpty = (value: object | undefined): boolean => value === undefined || Object.keys(value).length === 0

/** The container whose network it shares, and with it the host name. */
function joinedNetwork(engine: Engine, { hostConfig }: Container): Container | undefined {
  const mode = parseNetworkMode(hostConfig.NetworkMode ?? '')
  return mode.kind === 'container' ? engine.containers.get(mode.target) : undefined
}

function stateView(state: ContainerState): Record<string, unknown> {
  const { status } = state
  const alive = status === 'running' || status === 'paused'
  return {
    Status: status,
    Running: alive || status === 'restarting',
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: status === 'dead',
    Pid: alive ? state.pid : 0,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health ? { Health: state.health } : {}),
  }
}

/** What Docker shows for options that were not given. */
const UNSET: { readonly [K in keyof HostConfig]: unknown } = {
  Binds: null,
  ContainerIDFile: '',
  PortBindings: {},
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  Dns: [],
  DnsOptions: [],
  DnsSearch: [],
  ExtraHosts: null,
  GroupAdd: null,
  Cgroup: '',
  Links: null,
  OomScoreAdj: 0,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: '',
  UsernsMode: '',
  Isolation: '',
  CpuShares: 0,
  NanoCpus: 0,
  CgroupParent: '',
  BlkioWeight: 0,
  BlkioWeightDevice: [],
  BlkioDeviceReadBps: [],
  BlkioDeviceWriteBps: [],
  BlkioDeviceReadIOps: [],
  BlkioDeviceWriteIOps: [],
  CpuPeriod: 0,
  CpuQuota: 0,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: '',
  CpusetMems: '',
  Devices: [],
  DeviceCgroupRules: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  MemorySwappiness: null,
  OomKillDisable: false,
  PidsLimit: null,
  Ulimits: [],
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
}

function hostConfigView({ hostConfig, name }: Container): Record<string, unknown> {
  const nullWhenEmpty = (list: readonly unknown[] | undefined) => (list?.length ? list : null)
  const links = hostConfig.Links?.map((text) => {
    const link = parseLink(text)
    return `/${link.name}:/${name}/${link.alias}`
  })
  return {
    ...UNSET,
    ...hostConfig,
    CapAdd: nullWhenEmpty(hostConfig.CapAdd),
    CapDrop: nullWhenEmpty(hostConfig.CapDrop),
    Links: nullWhenEmpty(links),
    SecurityOpt: nullWhenEmpty(hostConfig.SecurityOpt),
    // Empty means unmasked; for a privileged container Docker says that nothing is masked by not saying what.
    ...(hostConfig.Privileged && !hostConfig.MaskedPaths?.length ? { MaskedPaths: null } : {}),
    ...(hostConfig.Privileged && !hostConfig.ReadonlyPaths?.length ? { ReadonlyPaths: null } : {}),
  }
}

/** When a container's state last changed by itself, in milliseconds; 0 for never. */
export const timeOf = (text: string): number => (text === NEVER ? 0 : Date.parse(text))

export const isRunning = (c: Container): boolean => isAlive(c) || c.state.status === 'restarting'
