import { hostname as machineName } from 'node:os'
import { posix } from 'node:path'
import { Resources, type EndpointRequest, type SandboxRequest } from '../../../shared/contracts/index.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { portRequests } from '../config/ports.ts'
import { parseLink } from '../config/options.ts'
import { sysctls } from '../config/process-limits.ts'
import type { EndpointSettings, HostConfig } from '../config/schema.ts'
import type { Container } from '../containers/container.ts'

export const shortId = (id: string): string => id.slice(0, 12)

/** HostConfig's limits in the form of the cgroup service. */
export function resources(hostConfig: HostConfig): Resources {
  const names = Object.keys(Resources.properties)
  return Object.fromEntries(Object.entries(hostConfig).filter(([name]) => names.includes(name)))
}

/** Whether any limit is set: otherwise there is nothing to check. */
export const limitsAnything = (limits: Resources): boolean =>
  Object.entries(limits).some(([name, v]) => !namesNothing(v) && !(v === -1 && MINUS_ONE_IS_UNSET.has(name)))

const namesNothing = (v: unknown): boolean =>
  v === 0 || v === '' || v === null || v === undefined || v === false || (Array.isArray(v) && v.length === 0)

/** The docker CLI says -1 where nothing was asked for. */
const MINUS_ONE_IS_UNSET: ReadonlySet<string> = new Set(['MemorySwappiness', 'PidsLimit'])

/** The host name that a container's processes see. */
export function hostName(container: Container, joined?: Container): string {
  if (joined) return hostName(joined)
  if (container.config.Hostname) return container.config.Hostname
  const mode = parseNetworkMode(container.hostConfig.NetworkMode ?? '').kind
  return mode === 'host' || container.hostConfig.UTSMode === 'host' ? machineName() : shortId(container.id)
}

/** A wish for one network, as the network service takes it; it adds the container's name, id and host name itself. */
export function endpointRequest(
  container: Pick<Container, 'links'>,
  network: string,
  settings: EndpointSettings,
): EndpointRequest {
  const userDefined = network !== 'bridge'
  const ipam = settings.IPAMConfig ?? {}
  // On a user-defined network a link is a name, whoever has it at the time.
  const links = userDefined
    ? (settings.Links ?? []).map((text) => ({ id: '', ...parseLink(text) }))
    : container.links.map(({ id, name, alias }) => ({ id, name, alias }))
  return {
    network: settings.NetworkID || network,
    ...(settings.NetworkID ? { networkName: network } : {}),
    aliases: [...(settings.Aliases ?? [])],
    links,
    ...(ipam.IPv4Address ? { ipv4: ipam.IPv4Address } : {}),
    ...(ipam.IPv6Address ? { ipv6: ipam.IPv6Address } : {}),
    ...(settings.MacAddress ? { mac: settings.MacAddress } : {}),
    ...(settings.GwPriority ? { gatewayPriority: settings.GwPriority } : {}),
    ...(settings.DriverOpts ? { driverOptions: settings.DriverOpts } : {}),
  }
}

/** The container's network, as the network service takes it. `joined`: the container whose network it shares. */
export function sandboxRequest(container: Container, joined: Container | undefined): SandboxRequest {
  const { config, hostConfig } = container
  const mode = parseNetworkMode(hostConfig.NetworkMode ?? '')
  const own = mode.kind === 'bridge' || mode.kind === 'user'
  return {
    id: container.id,
    name: container.name,
    mode: joined
      ? { kind: 'container', target: joined.id }
      : config.NetworkDisabled
        ? { kind: 'none' }
        : own
          ? { kind: 'private' }
          : { kind: mode.kind === 'host' ? 'host' : 'none' },
    endpoints:
      own && !config.NetworkDisabled
        ? Object.entries(container.endpoints).map(([name, settings]) => endpointRequest(container, name, settings))
        : [],
    ports: own && !config.NetworkDisabled ? portRequests(config, hostConfig) : [],
    hostname: hostName(container, joined),
    domainname: (joined ?? container).config.Domainname ?? '',
    dns: hostConfig.Dns ?? [],
    dnsOptions: hostConfig.DnsOptions ?? [],
    dnsSearch: hostConfig.DnsSearch ?? [],
    // `name=address` is the newer spelling of the same.
    extraHosts: (hostConfig.ExtraHosts ?? []).map((host) => host.replace(/^([^:=]+)=/, '$1:')),
    sysctls: sysctls(hostConfig).network,
    labels: config.Labels ?? {},
  }
}

/** `/run/x` and `run/x` as one; empty for the engine's own parent. */
export const cgroupParent = (hostConfig: HostConfig): string => {
  const given = hostConfig.CgroupParent ?? ''
  return given === '' || given.endsWith('.slice') ? given : posix.join('/', given)
}
