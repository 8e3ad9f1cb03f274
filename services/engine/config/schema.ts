import Type, { type Static, type TSchema } from 'typebox'

// Docker's ContainerCreateRequest, API 1.51 (https://docs.docker.com/reference/api/engine/version/v1.51/). Nulls are
// taken out before the check, since Docker's JSON means "absent" by them; members that are not listed are ignored, as
// Docker ignores them.

const o = <T extends TSchema>(schema: T) => Type.Optional(schema)
const str = o(Type.String())
const int = o(Type.Integer())
const bool = o(Type.Boolean())
const strings = o(Type.Array(Type.String()))
const texts = o(Type.Record(Type.String(), Type.String()))
const names = o(Type.Record(Type.String(), Type.Object({})))
const throttles = o(Type.Array(Type.Object({ Path: Type.String(), Rate: Type.Integer({ minimum: 0 }) })))

export const HealthConfig = Type.Object({
  /** Absent or empty: the image's; `NONE`; `CMD`, args...; `CMD-SHELL`, line. */
  Test: strings,
  /** Nanoseconds; 0 or absent: the default. */
  Interval: int,
  Timeout: int,
  StartPeriod: int,
  StartInterval: int,
  Retries: int,
})
export type HealthConfig = Static<typeof HealthConfig>

export const Config = Type.Object({
  Hostname: str,
  Domainname: str,
  User: str,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: names,
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: strings,
  Cmd: strings,
  Healthcheck: o(HealthConfig),
  ArgsEscaped: bool,
  Image: str,
  Volumes: names,
  WorkingDir: str,
  Entrypoint: strings,
  NetworkDisabled: bool,
  MacAddress: str,
  OnBuild: strings,
  Labels: texts,
  StopSignal: str,
  StopTimeout: int,
  Shell: strings,
})
export type Config = Static<typeof Config>

export const MountSpec = Type.Object({
  Type: Type.String(),
  Source: str,
  Target: str,
  ReadOnly: bool,
  Consistency: str,
  BindOptions: o(
    Type.Object({
      Propagation: str,
      NonRecursive: bool,
      CreateMountpoint: bool,
      ReadOnlyNonRecursive: bool,
      ReadOnlyForceRecursive: bool,
    }),
  ),
  VolumeOptions: o(
    Type.Object({
      NoCopy: bool,
      Labels: texts,
      Subpath: str,
      DriverConfig: o(Type.Object({ Name: str, Options: texts })),
    }),
  ),
  ImageOptions: o(Type.Object({ Subpath: str })),
  TmpfsOptions: o(Type.Object({ SizeBytes: int, Mode: int, Options: o(Type.Array(Type.Array(Type.String()))) })),
  ClusterOptions: o(Type.Object({})),
})
export type MountSpec = Static<typeof MountSpec>

export const PortBindingSpec = Type.Object({ HostIp: str, HostPort: str })
export const RestartPolicy = Type.Object({ Name: str, MaximumRetryCount: int })
export type RestartPolicy = Static<typeof RestartPolicy>

/** The part of HostConfig that says how much of the machine a container may use; also the body of an update. */
export const ResourceConfig = Type.Object({
  CpuShares: int,
  Memory: int,
  CgroupParent: str,
  BlkioWeight: int,
  BlkioWeightDevice: o(Type.Array(Type.Object({ Path: Type.String(), Weight: Type.Integer() }))),
  BlkioDeviceReadBps: throttles,
  BlkioDeviceWriteBps: throttles,
  BlkioDeviceReadIOps: throttles,
  BlkioDeviceWriteIOps: throttles,
  CpuPeriod: int,
  CpuQuota: int,
  CpuRealtimePeriod: int,
  CpuRealtimeRuntime: int,
  CpusetCpus: str,
  CpusetMems: str,
  Devices: o(Type.Array(Type.Object({ PathOnHost: str, PathInContainer: str, CgroupPermissions: str }))),
  DeviceCgroupRules: strings,
  DeviceRequests: o(
    Type.Array(
      Type.Object({
        Driver: str,
        Count: int,
        DeviceIDs: strings,
        Capabilities: o(Type.Array(Type.Array(Type.String()))),
        Options: texts,
      }),
    ),
  ),
  KernelMemory: int,
  KernelMemoryTCP: int,
  MemoryReservation: int,
  MemorySwap: int,
  MemorySwappiness: int,
  NanoCpus: int,
  OomKillDisable: bool,
  PidsLimit: int,
  Ulimits: o(Type.Array(Type.Object({ Name: Type.String(), Soft: Type.Integer(), Hard: Type.Integer() }))),
  CpuCount: int,
  CpuPercent: int,
  IOMaximumIOps: int,
  IOMaximumBandwidth: int,
})
export type ResourceConfig = Static<typeof ResourceConfig>

export const HostConfig = Type.Object({
  ...ResourceConfig.properties,
  Binds: strings,
  ContainerIDFile: str,
  LogConfig: o(Type.Object({ Type: str, Config: texts })),
  NetworkMode: str,
  PortBindings: o(Type.Record(Type.String(), Type.Array(PortBindingSpec))),
  RestartPolicy: o(RestartPolicy),
  AutoRemove: bool,
  VolumeDriver: str,
  VolumesFrom: strings,
  Mounts: o(Type.Array(MountSpec)),
  ConsoleSize: o(Type.Array(Type.Integer({ minimum: 0 }), { minItems: 2, maxItems: 2 })),
  Annotations: texts,
  CapAdd: strings,
  CapDrop: strings,
  CgroupnsMode: str,
  Dns: strings,
  DnsOptions: strings,
  DnsSearch: strings,
  ExtraHosts: strings,
  GroupAdd: strings,
  IpcMode: str,
  Cgroup: str,
  Links: strings,
  OomScoreAdj: int,
  PidMode: str,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: strings,
  StorageOpt: texts,
  Tmpfs: texts,
  UTSMode: str,
  UsernsMode: str,
  ShmSize: int,
  Sysctls: texts,
  Runtime: str,
  Isolation: str,
  Init: bool,
  MaskedPaths: strings,
  ReadonlyPaths: strings,
})
export type HostConfig = Static<typeof HostConfig>

export const EndpointSettings = Type.Object({
  IPAMConfig: o(Type.Object({ IPv4Address: str, IPv6Address: str, LinkLocalIPs: strings })),
  Links: strings,
  Aliases: strings,
  MacAddress: str,
  DriverOpts: texts,
  GwPriority: int,
  NetworkID: str,
})
export type EndpointSettings = Static<typeof EndpointSettings>

export const CreateBody = Type.Object({
  ...Config.properties,
  HostConfig: o(HostConfig),
  NetworkingConfig: o(Type.Object({ EndpointsConfig: o(Type.Record(Type.String(), EndpointSettings)) })),
})
export type CreateBody = Static<typeof CreateBody>

export const ExecConfig = Type.Object({
  User: str,
  Privileged: bool,
  Tty: bool,
  ConsoleSize: o(Type.Array(Type.Integer({ minimum: 0 }), { minItems: 2, maxItems: 2 })),
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  Detach: bool,
  DetachKeys: str,
  Env: strings,
  WorkingDir: str,
  Cmd: strings,
})
export type ExecConfig = Static<typeof ExecConfig>

export const UpdateBody = Type.Object({ ...ResourceConfig.properties, RestartPolicy: o(RestartPolicy) })
export type UpdateBody = Static<typeof UpdateBody>
