import { isIP } from 'node:net'
import type { GantryError } from '../../../shared/errors/index.ts'
import { parseMac } from '../../../shared/mac.ts'
import { invalid, notImplemented } from '../../../shared/errors/index.ts'
import { checkHealthConfig } from './health.ts'
import { parseMount } from './mounts.ts'
import { checkLogDetails } from './log-details.ts'
import { parseNetworkMode, parseShareMode } from './modes.ts'
import { exposedPorts, portRequests } from './ports.ts'
import { deviceCgroupRules, devices, rlimits, sysctls } from './process-limits.ts'
import { parseRestartPolicy } from './restart.ts'
import type { Config, HostConfig, UpdateBody } from './schema.ts'
import { capabilities, securityOptions } from './security.ts'
import { signalNumber } from './signals.ts'

type Owner = 'engine' | 'storage' | 'network' | 'cgroup' | 'exec'
interface Whole {
  readonly config: Config
  readonly hostConfig: HostConfig
}
type Check<V> = (value: V, whole: Whole) => void

/** What becomes of an option: who honours it, and what the engine refuses before anything is changed. */
interface Rule<V> {
  readonly by: Owner | 'nobody'
  readonly check: Check<V>
}

const by = <V>(owner: Owner | 'nobody', check: Check<V> = () => undefined): Rule<V> => ({ by: owner, check })

/** Only these values; any other is refused for the reason given. */
const only = <V>(values: readonly V[], refusal: (value: V) => GantryError): Rule<V> => ({
  by: 'nobody',
  check: (value) => {
    if (!values.includes(value)) throw refusal(value)
  },
})
const empty = <V extends object>(refusal: (value: V) => GantryError): Rule<V> => ({
  by: 'nobody',
  check: (value) => {
    if (Object.keys(value).length > 0) throw refusal(value)
  },
})
const windows = (field: string) => () =>
  invalid(`HostConfig.${field} is for Windows containers: leave it out`, { details: { field: `HostConfig.${field}` } })

type Rules<T> = { readonly [K in keyof Required<T>]: Rule<NonNullable<T[K]>> }

/** Every member of Docker's container Config. */
export const CONFIG_OPTIONS: Rules<Config> = {
  Hostname: by('exec', (name) => {
    if (name.length > 63) throw invalid(`invalid hostname: ${name}: longer than 63 characters`)
    if (/[\s/\0]/.test(name)) throw invalid(`invalid hostname: ${name}`)
  }),
  Domainname: by('exec'),
  User: by('exec'),
  AttachStdin: by('engine'),
  AttachStdout: by('engine'),
  AttachStderr: by('engine'),
  ExposedPorts: by('network', (_, { config, hostConfig }) => exposedPorts(config, hostConfig)),
  Tty: by('exec'),
  OpenStdin: by('exec'),
  StdinOnce: by('exec'),
  Env: by('exec', (list) => {
    for (const entry of list) {
      if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`)
    }
  }),
  Cmd: by('exec'),
  Healthcheck: by('engine', checkHealthConfig),
  // Means something to Windows only, but images of other systems have it too.
  ArgsEscaped: by('nobody'),
  Image: by('storage'),
  Volumes: by('storage'),
  WorkingDir: by('exec', (dir) => {
    if (dir !== '' && !dir.startsWith('/')) {
      throw invalid(`the working directory '${dir}' is invalid, it needs to be an absolute path`)
    }
  }),
  Entrypoint: by('exec'),
  NetworkDisabled: by('network'),
  MacAddress: by('network', checkMac),
  OnBuild: by('engine'),
  Labels: by('engine'),
  StopSignal: by('engine', (signal) => {
    if (signal !== '') signalNumber(signal)
  }),
  StopTimeout: by('engine'),
  Shell: by('engine'),
}

/** Every member of Docker's HostConfig. */
export const HOST_OPTIONS: Rules<HostConfig> = {
  // Resources: the cgroup service knows what this kernel can do (group.check).
  CpuShares: by('cgroup'),
  Memory: by('cgroup'),
  CgroupParent: by('cgroup', (path) => {
    if (path.split('/').includes('..')) throw invalid(`invalid cgroup parent: "${path}" must not contain ".."`)
  }),
  BlkioWeight: by('cgroup'),
  BlkioWeightDevice: by('cgroup'),
  BlkioDeviceReadBps: by('cgroup'),
  BlkioDeviceWriteBps: by('cgroup'),
  BlkioDeviceReadIOps: by('cgroup'),
  BlkioDeviceWriteIOps: by('cgroup'),
  CpuPeriod: by('cgroup'),
  CpuQuota: by('cgroup'),
  CpuRealtimePeriod: by('cgroup'),
  CpuRealtimeRuntime: by('cgroup'),
  CpusetCpus: by('cgroup'),
  CpusetMems: by('cgroup'),
  KernelMemory: only([0], () => invalid('HostConfig.KernelMemory is no longer supported by the kernel: leave it out')),
  KernelMemoryTCP: by('cgroup'),
  MemoryReservation: by('cgroup'),
  MemorySwap: by('cgroup'),
  MemorySwappiness: by('cgroup'),
  NanoCpus: by('cgroup'),
  OomKillDisable: by('cgroup'),
  PidsLimit: by('cgroup'),
  CpuCount: only([0], windows('CpuCount')),
  CpuPercent: only([0], windows('CpuPercent')),
  IOMaximumIOps: only([0], windows('IOMaximumIOps')),
  IOMaximumBandwidth: only([0], windows('IOMaximumBandwidth')),

  // Devices and the process's own limits.
  Devices: by('exec', devices),
  DeviceCgroupRules: by('exec', deviceCgroupRules),
  DeviceRequests: empty(([first]) =>
    invalid(
      `could not select device driver "${first?.Driver ?? ''}" with capabilities: ` +
        `${JSON.stringify(first?.Capabilities ?? [])}: this engine has no device drivers (GPUs)`,
    ),
  ),
  Ulimits: by('exec', rlimits),
  OomScoreAdj: by('exec', (n) => {
    if (n < -1000 || n > 1000) throw invalid(`Invalid value ${n}, range for oom score adj is [-1000, 1000]`)
  }),
  ShmSize: by('exec', (n) => {
    if (n < 0) throw invalid('SHM size can not be less than 0')
  }),
  Sysctls: by('exec', (_, { hostConfig }) => sysctls(hostConfig)),
  Init: by('exec'),
  Runtime: by('exec'),
  ConsoleSize: by('exec'),
  Annotations: by('exec'),
  GroupAdd: by('exec'),
  LogConfig: by('exec', ({ Config }) => checkLogDetails(Config ?? {})),

  // Security.
  CapAdd: by('exec', (names) => capabilities('CapAdd', names)),
  CapDrop: by('exec', (names) => capabilities('CapDrop', names)),
  Privileged: by('exec'),
  SecurityOpt: by('exec', securityOptions),
  ReadonlyRootfs: by('exec'),
  MaskedPaths: by('exec'),
  ReadonlyPaths: by('exec'),

  // Namespaces.
  PidMode: by('exec', (mode) => parseShareMode('PidMode', mode)),
  IpcMode: by('exec', (mode) => parseShareMode('IpcMode', mode)),
  UTSMode: by('exec', (mode) => parseShareMode('UTSMode', mode)),
  CgroupnsMode: by('exec', (mode) => parseShareMode('CgroupnsMode', mode)),
  UsernsMode: only(['', 'host'], (mode) =>
    mode === 'private'
      ? notImplemented(
          'HostConfig.UsernsMode: remapped user namespaces are not implemented: leave it out or use "host"',
        )
      : invalid(`invalid USER mode: ${mode}`),
  ),
  Cgroup: only([''], () => invalid('HostConfig.Cgroup is obsolete: use CgroupParent')),
  Isolation: only(['', 'default'], (value) =>
    invalid(`invalid isolation '${value}': isolation modes are for Windows containers`),
  ),

  // Network.
  NetworkMode: by('network', (mode) => parseNetworkMode(mode)),
  PortBindings: by('network', (_, { config, hostConfig }) => portRequests(config, hostConfig)),
  PublishAllPorts: by('network'),
  Dns: by('network', (servers) => {
    for (const server of servers) {
      if (isIP(server) === 0) throw invalid(`invalid DNS server: ${server} is not an IP address`)
    }
  }),
  DnsOptions: by('network'),
  DnsSearch: by('network'),
  ExtraHosts: by('network', (hosts) => {
    for (const host of hosts) {
      if (!/^[^:=]+[:=].+$/.test(host)) throw invalid(`invalid extra-host: "${host}": want <name>:<address>`)
    }
  }),
  Links: by('network', (links) => {
    for (const link of links) parseLink(link)
  }),

  // Storage.
  Binds: by('storage'),
  Mounts: by('storage', (mounts) => {
    for (const mount of mounts) parseMount(mount)
  }),
  Tmpfs: by('storage'),
  VolumesFrom: by('storage'),
  VolumeDriver: by('storage'),
  StorageOpt: by('storage'),

  // Life.
  AutoRemove: by('engine', (remove, { hostConfig }) => {
    if (remove && parseRestartPolicy(hostConfig.RestartPolicy).Name !== 'no') {
      throw invalid("can't create 'AutoRemove' container with restart policy")
    }
  }),
  RestartPolicy: by('engine', parseRestartPolicy),
  // The client writes that file itself.
  ContainerIDFile: by('engine'),
}

export function checkMac(mac: string): void {
  if (mac !== '' && parseMac(mac) === undefined) throw invalid(`invalid MAC address: ${mac}`)
}

/** `name[:alias]` of HostConfig.Links and EndpointSettings.Links. */
export function parseLink(text: string): { name: string; alias: string } {
  const [name = '', alias = name, ...rest] = text.split(':')
  if (name === '' || alias === '' || rest.length > 0) throw invalid(`bad format for links: ${text}`)
  const plain = (s: string) => s.replace(/^\//, '').split('/').at(-1) ?? ''
  return { name: name.replace(/^\//, ''), alias: plain(alias) }
}

/** Runs every rule over what was given. @throws the first refusal. */
export function checkOptions(config: Config, hostConfig: HostConfig): void {
  const whole = { config, hostConfig }
  checkAll(CONFIG_OPTIONS, config, whole)
  checkAll(HOST_OPTIONS, hostConfig, whole)
}

/** The same rules over what an update names. */
export function checkUpdate(body: UpdateBody): void {
  const rules: Partial<Rules<HostConfig>> = HOST_OPTIONS
  checkAll(rules as Rules<UpdateBody>, body, { config: {}, hostConfig: body })
}

function checkAll<T extends object>(rules: Rules<T>, given: T, whole: Whole): void {
  for (const key of Object.keys(rules) as (keyof T)[]) {
    const value = given[key]
    if (value !== undefined && value !== null) rules[key].check(value, whole)
  }
}
