import Type, { type Static } from 'typebox'
import { Empty, Filters, Health, Id, Json, Keep, Labels, Mount, Ref, Removed } from './common.ts'
import { contract, verb } from './verb.ts'

/** A container's wish for one network. */
export const EndpointRequest = Type.Object({
  /** Network id or name; `default` and `bridge` are the default bridge network. */
  network: Type.String(),
  /** The network of that name is meant where that of the id is no more. */
  networkName: Type.Optional(Type.String()),
  aliases: Type.Array(Type.String()),
  /** `--link`: on the default bridge to the container with that id; elsewhere, without id, to whoever has that name. */
  links: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), alias: Type.String() })),
  ipv4: Type.Optional(Type.String()),
  ipv6: Type.Optional(Type.String()),
  mac: Type.Optional(Type.String()),
  /** The default route follows the endpoint of highest priority. */
  gatewayPriority: Type.Optional(Type.Integer()),
  driverOptions: Type.Optional(Labels),
})
export type EndpointRequest = Static<typeof EndpointRequest>

/** A port to publish. Ranges are already spread out: one entry a port. */
export const PortRequest = Type.Object({
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp'), Type.Literal('sctp')]),
  containerPort: Type.Integer({ minimum: 1, maximum: 65535 }),
  /** Empty: every address, IPv4 and IPv6. */
  hostIp: Type.String(),
  /** 0: any free port. With `hostPortEnd` any free port of the range. */
  hostPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  hostPortEnd: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
})
export type PortRequest = Static<typeof PortRequest>

/** A port as published, for NetworkSettings.Ports. */
export const PortBinding = Type.Object({
  protocol: Type.String(),
  containerPort: Type.Integer(),
  hostIp: Type.String(),
  /** 0: none, the port is reached at the container's own address (a routed network). */
  hostPort: Type.Integer(),
})
export type PortBinding = Static<typeof PortBinding>

/** An endpoint as it is, for NetworkSettings.Networks (empty strings where there is no address). */
export const EndpointInfo = Type.Object({
  networkId: Type.String(),
  networkName: Type.String(),
  endpointId: Type.String(),
  interface: Type.String(),
  mac: Type.String(),
  ipv4: Type.String(),
  ipv4PrefixLength: Type.Integer(),
  gateway4: Type.String(),
  ipv6: Type.String(),
  ipv6PrefixLength: Type.Integer(),
  gateway6: Type.String(),
  aliases: Type.Array(Type.String()),
  dnsNames: Type.Array(Type.String()),
})
export type EndpointInfo = Static<typeof EndpointInfo>

export const SandboxMode = Type.Union([
  Type.Object({ kind: Type.Literal('private') }),
  Type.Object({ kind: Type.Literal('host') }),
  Type.Object({ kind: Type.Literal('none') }),
  /** Joins the sandbox of another container (its id). */
  Type.Object({ kind: Type.Literal('container'), target: Id }),
])

export const SandboxRequest = Type.Object({
  /** The container's id. */
  id: Id,
  /** The container's name, without slash: a DNS name, and what errors call it. */
  name: Type.String(),
  mode: SandboxMode,
  endpoints: Type.Array(EndpointRequest),
  ports: Type.Array(PortRequest),
  hostname: Type.String(),
  domainname: Type.String(),
  dns: Type.Array(Type.String()),
  dnsOptions: Type.Array(Type.String()),
  dnsSearch: Type.Array(Type.String()),
  /** `name:address`, where address may be `host-gateway`. */
  extraHosts: Type.Array(Type.String()),
  /** net.* sysctls, set in the namespace. */
  sysctls: Labels,
  /** The container's labels, for events and metrics. */
  labels: Labels,
})
export type SandboxRequest = Static<typeof SandboxRequest>

export const SandboxInfo = Type.Object({
  id: Id,
  /** A file to join the namespace by; null for the host's. */
  netns: Type.Union([Type.String(), Type.Null()]),
  /** /etc/hosts, /etc/resolv.conf, /etc/hostname. */
  mounts: Type.Array(Mount),
  hostsPath: Type.String(),
  resolvConfPath: Type.String(),
  hostnamePath: Type.String(),
  endpoints: Type.Array(EndpointInfo),
  ports: Type.Array(PortBinding),
})
export type SandboxInfo = Static<typeof SandboxInfo>

/** Counters since the interface was made; bytes and packets. */
export const InterfaceStats = Type.Object({
  rx_bytes: Type.Number(),
  rx_packets: Type.Number(),
  rx_errors: Type.Number(),
  rx_dropped: Type.Number(),
  tx_bytes: Type.Number(),
  tx_packets: Type.Number(),
  tx_errors: Type.Number(),
  tx_dropped: Type.Number(),
})
export type InterfaceStats = Static<typeof InterfaceStats>

const g = ['gateway', 'admin'] as const
const e = ['engine', 'admin'] as const
const ge = ['gateway', 'engine', 'admin'] as const

export const networkContract = contract('network', '1.0.0', {
  'network.create': verb({
    summary:
      "A network from Docker's NetworkCreateRequest. The caller chooses the id; repeating it with that id returns it.",
    request: Type.Object({ id: Id, spec: Json }),
    reply: Type.Object({ id: Id, warning: Type.String() }),
    callers: g,
  }),
  'network.list': verb({
    summary: 'Docker Network[], without containers.',
    request: Type.Object({ filters: Filters }),
    reply: Type.Array(Json),
    callers: ge,
  }),
  'network.inspect': verb({
    summary: 'Docker Network with its Containers; `not-found` says "network <ref> not found".',
    request: Type.Object({
      ref: Type.String(),
      scope: Type.Optional(Type.String()),
      verbose: Type.Optional(Type.Boolean()),
    }),
    reply: Json,
    callers: ge,
  }),
  'network.remove': verb({
    summary: 'Removes a network without endpoints; `forbidden` lists who uses it, or that it is predefined.',
    request: Ref,
    reply: Empty,
    callers: g,
  }),
  'network.prune': verb({
    summary: 'Removes unused networks.',
    request: Type.Object({ filters: Filters }),
    reply: Type.Object({ NetworksDeleted: Type.Array(Type.String()) }),
    callers: g,
  }),
  'sandbox.create': verb({
    summary:
      "A container's network namespace with all its endpoints and published ports, in one step; on failure nothing is " +
      'left. Repeating it with the same request returns what is there.',
    request: SandboxRequest,
    reply: SandboxInfo,
    callers: e,
  }),
  'sandbox.delete': verb({
    summary:
      'Gives back addresses, ports and the namespace; it stays as long as another container shares it. Unknown id is ' +
      'no error.',
    request: Type.Object({ id: Id }),
    reply: Empty,
    callers: e,
  }),
  'sandbox.inspect': verb({
    summary: 'The sandbox as it is.',
    request: Type.Object({ id: Id }),
    reply: SandboxInfo,
    callers: e,
  }),
  'sandbox.rename': verb({
    summary:
      "Takes over a container's new name (DNS, errors); replies with the sandbox under it. Unknown id is no error.",
    request: Type.Object({ id: Id, name: Type.String() }),
    reply: Type.Object({ sandbox: Type.Optional(SandboxInfo) }),
    callers: e,
  }),
  'sandbox.stats': verb({
    summary: 'Counters of each interface of each sandbox; ids without one are left out.',
    request: Type.Object({ ids: Type.Array(Id) }),
    reply: Type.Record(Type.String(), Type.Record(Type.String(), InterfaceStats)),
    callers: e,
  }),
  'sandbox.reconcile': verb({
    summary: 'Removes the sandboxes of containers that are not in `keep`.',
    request: Keep,
    reply: Removed,
    callers: e,
  }),
  'endpoint.check': verb({
    summary:
      'Refuses what the network could never give: a bad option, an address outside of its subnets. What is taken is refused when it ' +
      'is asked for; a network that is not there is no error.',
    request: Type.Object({ endpoint: EndpointRequest }),
    reply: Empty,
    callers: e,
  }),
  'endpoint.connect': verb({
    summary:
      'Adds an endpoint to a live sandbox, or gives one other links; a failure leaves the other endpoints as they were.',
    request: Type.Object({ id: Id, endpoint: EndpointRequest }),
    reply: SandboxInfo,
    callers: e,
  }),
  'endpoint.disconnect': verb({
    summary: 'Takes an endpoint away.',
    request: Type.Object({ id: Id, network: Type.String(), force: Type.Boolean() }),
    reply: SandboxInfo,
    callers: e,
  }),
  health: verb({ summary: 'Readiness, drivers, warnings.', request: Empty, reply: Health, callers: ge }),
})
export type NetworkContract = typeof networkContract
