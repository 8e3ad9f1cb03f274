import Type from 'typebox'
import { any, command, flag, int, list, mapOf, set, struct, text, textMap, texts } from './types.ts'

/** Types of Docker's container requests. Meaning and ranges are the engine's business. */
const Throttles = list(Type.Object({ Path: text, Rate: int }))

const resources = {
  CpuShares: int,
  Memory: int,
  NanoCpus: int,
  CgroupParent: text,
  BlkioWeight: int,
  BlkioWeightDevice: list(Type.Object({ Path: text, Weight: int })),
  BlkioDeviceReadBps: Throttles,
  BlkioDeviceWriteBps: Throttles,
  BlkioDeviceReadIOps: Throttles,
  BlkioDeviceWriteIOps: Throttles,
  CpuPeriod: int,
  CpuQuota: int,
  CpuRealtimePeriod: int,
  CpuRealtimeRuntime: int,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: list(Type.Object({ PathOnHost: text, PathInContainer: text, CgroupPermissions: text })),
  DeviceCgroupRules: texts,
  DeviceRequests: list(
    Type.Object({
      Driver: text,
      Count: int,
      DeviceIDs: texts,
      Capabilities: list(Type.Array(Type.String())),
      Options: textMap,
    }),
  ),
  KernelMemory: int,
  KernelMemoryTCP: int,
  MemoryReservation: int,
  MemorySwap: int,
  MemorySwappiness: int,
  OomKillDisable: flag,
  PidsLimit: int,
  Ulimits: list(Type.Object({ Name: text, Soft: int, Hard: int })),
  CpuCount: int,
  CpuPercent: int,
  IOMaximumIOps: int,
  IOMaximumBandwidth: int,
}

const RestartPolicy = struct({ Name: text, MaximumRetryCount: int })

const Healthcheck = struct({
  Test: texts,
  Interval: int,
  Timeout: int,
  StartPeriod: int,
  StartInterval: int,
  Retries: int,
})

const PortBindings = mapOf(Type.Array(Type.Object({ HostIp: text, HostPort: text })))

const MountSpec = Type.Object({
  Type: text,
  Source: text,
  Target: text,
  ReadOnly: flag,
  Consistency: text,
  BindOptions: struct({
    Propagation: text,
    NonRecursive: flag,
    CreateMountpoint: flag,
    ReadOnlyNonRecursive: flag,
    ReadOnlyForceRecursive: flag,
  }),
  VolumeOptions: struct({
    NoCopy: flag,
    Labels: textMap,
    Subpath: text,
    DriverConfig: struct({ Name: text, Options: textMap }),
  }),
  TmpfsOptions: struct({ SizeBytes: int, Mode: int, Options: list(Type.Array(Type.String())) }),
  ImageOptions: struct({ Subpath: text }),
  ClusterOptions: any,
})

const HostConfig = struct({
  ...resources,
  Binds: texts,
  ContainerIDFile: text,
  LogConfig: struct({ Type: text, Config: textMap }),
  NetworkMode: text,
  PortBindings,
  RestartPolicy,
  AutoRemove: flag,
  VolumeDriver: text,
  VolumesFrom: texts,
  ConsoleSize: list(Type.Integer()),
  Annotations: textMap,
  CapAdd: command,
  CapDrop: command,
  CgroupnsMode: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: text,
  Cgroup: text,
  Links: texts,
  OomScoreAdj: int,
  PidMode: text,
  Privileged: flag,
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  SecurityOpt: texts,
  StorageOpt: textMap,
  Tmpfs: textMap,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: int,
  Sysctls: textMap,
  Runtime: text,
  Isolation: text,
  Mounts: list(MountSpec),
  MaskedPaths: texts,
  ReadonlyPaths: texts,
  Init: flag,
})

/** Docker's network.EndpointSettings. */
export const EndpointSettings = Type.Object({
  IPAMConfig: struct({ IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts }),
  Links: texts,
  Aliases: texts,
  MacAddress: text,
  DriverOpts: textMap,
  GwPriority: int,
  NetworkID: text,
  EndpointID: text,
  Gateway: text,
  IPAddress: text,
  IPPrefixLen: int,
  IPv6Gateway: text,
  GlobalIPv6Address: text,
  GlobalIPv6PrefixLen: int,
  DNSNames: texts,
})

/** Members of Docker's container.Config, which stand at the top of the create request. */
const config = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  ExposedPorts: set,
  Tty: flag,
  OpenStdin: flag,
  StdinOnce: flag,
  Env: texts,
  Cmd: command,
  Healthcheck,
  ArgsEscaped: flag,
  Image: text,
  Volumes: set,
  WorkingDir: text,
  Entrypoint: command,
  NetworkDisabled: flag,
  MacAddress: text,
  OnBuild: texts,
  Labels: textMap,
  StopSignal: text,
  StopTimeout: int,
  Shell: command,
}

export const CONFIG_MEMBERS: readonly string[] = Object.keys(config)

/** POST /containers/create */
export const ContainerCreate = Type.Object({
  ...config,
  HostConfig,
  NetworkingConfig: struct({ EndpointsConfig: mapOf(EndpointSettings) }),
})

/** POST /containers/{id}/update */
export const ContainerUpdate = Type.Object({ ...resources, RestartPolicy })
