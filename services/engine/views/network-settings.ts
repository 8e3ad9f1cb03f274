import type { EndpointInfo, PortBinding } from '../../../shared/contracts/index.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { exposedPorts, portKey } from '../config/ports.ts'
import type { EndpointSettings } from '../config/schema.ts'
import type { Container } from '../containers/container.ts'

/** Docker's NetworkSettings of a container: what it has while it runs, what it wishes for otherwise. */
export function networkSettings(container: Container): Record<string, unknown> {
  const { sandbox } = container.state
  const networks = networksOf(container)
  const bridge = networks['bridge']
  // One that shares another's network has none of its own.
  const own = parseNetworkMode(container.hostConfig.NetworkMode ?? '').kind === 'container' ? undefined : sandbox
  return {
    Bridge: '',
    SandboxID: own?.id ?? '',
    SandboxKey: own?.netns ?? '',
    Ports: sandbox ? portMap(container, sandbox.ports) : {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    // Of the default bridge: older clients read them here.
    EndpointID: bridge?.EndpointID ?? '',
    Gateway: bridge?.Gateway ?? '',
    GlobalIPv6Address: bridge?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge?.IPAddress ?? '',
    IPPrefixLen: bridge?.IPPrefixLen ?? 0,
    IPv6Gateway: bridge?.IPv6Gateway ?? '',
    MacAddress: bridge?.MacAddress ?? '',
    Networks: networks,
  }
}

/** NetworkSettings.Networks. */
export function networksOf(container: Container): Record<string, ReturnType<typeof endpoint>> {
  const mode = parseNetworkMode(container.hostConfig.NetworkMode ?? '').kind
  const { sandbox } = container.state
  if (mode === 'host' || mode === 'none') {
    const live = sandbox?.endpoints.find((e) => e.networkName === mode)
    return { [mode]: endpoint({}, live, mode) }
  }
  return Object.fromEntries(
    Object.entries(container.endpoints).map(([name, settings]) => {
      const live = sandbox?.endpoints.find((e) => e.networkName === name)
      return [name, endpoint(settings, live, name)]
    }),
  )
}

function endpoint(wish: EndpointSettings, live: EndpointInfo | undefined, name: string) {
  const aliases = wish.Aliases ?? []
  return {
    IPAMConfig: wish.IPAMConfig ?? null,
    Links: wish.Links ?? null,
    Aliases: aliases.length > 0 ? aliases : null,
    MacAddress: live?.mac ?? wish.MacAddress ?? '',
    DriverOpts: wish.DriverOpts ?? null,
    GwPriority: wish.GwPriority ?? 0,
    NetworkID: live?.networkId ?? wish.NetworkID ?? '',
    EndpointID: live?.endpointId ?? '',
    Gateway: live?.gateway4 ?? '',
    IPAddress: live?.ipv4 ?? '',
    IPPrefixLen: live?.ipv4PrefixLength ?? 0,
    IPv6Gateway: live?.gateway6 ?? '',
    GlobalIPv6Address: live?.ipv6 ?? '',
    GlobalIPv6PrefixLen: live?.ipv6PrefixLength ?? 0,
    DNSNames: live && name !== 'bridge' && live.dnsNames.length > 0 ? live.dnsNames : null,
  }
}

/** NetworkSettings.Ports: every exposed port, with its bindings or null. */
export function portMap(container: Container, bindings: readonly PortBinding[]): Record<string, unknown> {
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = {}
  for (const port of exposedPorts(container.config, container.hostConfig)) map[portKey(port)] = null
  for (const { protocol, containerPort, hostIp, hostPort } of bindings) {
    const list = (map[`${containerPort}/${protocol}`] ??= [])
    list.push({ HostIp: hostIp, HostPort: hostPort === 0 ? '' : String(hostPort) })
  }
  return map
}

/** ContainerSummary.Ports. */
export function portList(container: Container): Record<string, unknown>[] {
  const { sandbox } = container.state
  if (!sandbox) return []
  // Without a port of the host (a routed network) there is nothing that leads here, only the container's own port.
  const bound = sandbox.ports.filter((p) => p.hostPort !== 0)
  const published = bound.map((p) => ({
    ...(p.hostIp === '' ? {} : { IP: p.hostIp }),
    PrivatePort: p.containerPort,
    PublicPort: p.hostPort,
    Type: p.protocol,
  }))
  const exposed = exposedPorts(container.config, container.hostConfig)
    .filter((e) => !bound.some((p) => p.containerPort === e.port && p.protocol === e.protocol))
    .map((e) => ({ PrivatePort: e.port, Type: e.protocol }))
  return [...exposed, ...published]
}
