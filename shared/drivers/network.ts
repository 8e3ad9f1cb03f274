import type { Driver, DriverContext, DriverModule, DriverState } from './driver.ts'

/**
 * A network driver makes networks (usually a device on the host) and endpoints (an interface in a sandbox).
 *
 * Lifecycle: `createNetwork` -> `createEndpoint`* -> `deleteEndpoint`* -> `deleteNetwork`. The service owns addresses,
 * names, ports, routes beyond the own subnet, and sandboxes; the driver is told them. All verbs are idempotent: creating what
 * is there adopts it (and mends what differs), deleting what is missing is no error. `planX` functions beside the driver are pure.
 *
 * Example: the bridge driver's createNetwork makes `br-<id>` with the gateway address; its createEndpoint makes a veth
 * pair, puts one end on the bridge and the other, named as asked, with its addresses, up, into the sandbox.
 *
 * Capabilities: `connectivity` ('bridge' | 'none' | 'host' | 'joined' | 'l2'), `dns` (boolean: the embedded DNS serves it),
 * `portMapping` (boolean), `ipam` (boolean: needs addresses), `singleton` (boolean: only the predefined network), `ipv6`.
 * An endpoint of a driver of connectivity `none`, `host` or `joined` has no interface and no address.
 */
export interface NetworkDriver extends Driver {
  /** Refuses bad options (`invalid`, names the option and the valid form). Touches nothing. */
  validate(network: NetworkSpec): void
  createNetwork(network: NetworkSpec): Promise<DriverState>
  /**
   * When the call returns (before its promise resolves) the network carries no traffic and holds no route any more; when it
   * resolves, nothing of it is left.
   */
  deleteNetwork(network: NetworkSpec, state: DriverState | undefined): Promise<void>
  createEndpoint(network: NetworkSpec, state: DriverState, endpoint: EndpointSpec): Promise<EndpointResult>
  /**
   * When the call returns (before its promise resolves) the endpoint carries no traffic any more, so that its addresses may
   * be given to another; when it resolves, its interface is gone.
   */
  deleteEndpoint(network: NetworkSpec, endpoint: EndpointSpec, state: DriverState | undefined): Promise<void>
  /**
   * After a restart of the service: makes true again what `networks` say, leaving alone what is as it should be, and
   * removes kernel objects of this engine that belong to none of them. What it cannot mend it reports.
   */
  recover(networks: readonly RecoveredNetwork[]): Promise<RecoveryReport>
  /**
   * The network's device on the host, also of a network that is still to be made, and how traffic through it is to be treated;
   * undefined when there is none.
   */
  hostSide(network: NetworkSpec): HostSide | undefined
}

/** What the firewall must know of a network. */
export interface HostSide {
  /** Name of the device through which the host reaches the endpoints. */
  readonly interface: string
  /** Endpoints may talk to each other. */
  readonly icc: boolean
  /** What leaves the network gets the host's address, unless it is routed. */
  readonly masquerade: boolean
  /** How the endpoints are reached from elsewhere, over each family. */
  readonly gatewayMode: { readonly ipv4: GatewayMode; readonly ipv6: GatewayMode }
  /** Host address of published ports that name none; absent for all. */
  readonly hostBinding?: string
}

/**
 * `nat`: by published ports of the host. `nat-unprotected`: also by their own addresses, every port. `routed`: by their own addresses
 * alone, published ports. `isolated` (internal networks): the host itself has no address there.
 */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated'

export interface Subnet {
  /** `10.1.2.0/24` or `fd00:1::/64` */
  readonly cidr: string
  /** Address without prefix length; empty where the network has none. */
  readonly gateway: string
}

export interface NetworkSpec {
  readonly id: string
  readonly name: string
  readonly subnets: readonly Subnet[]
  readonly internal: boolean
  readonly ipv6: boolean
  /** The driver's own options, checked by `validate`. */
  readonly options: Readonly<Record<string, string>>
}

export interface EndpointSpec {
  readonly id: string
  /** The sandbox's namespace file; empty where the sandbox is the host's namespace. */
  readonly netns: string
  /** Name inside the sandbox, for example `eth0`. */
  readonly interface: string
  readonly mac: string
  /** With prefix length, for example `10.1.2.3/24`. */
  readonly addresses: readonly string[]
  readonly options: Readonly<Record<string, string>>
}

export interface EndpointResult {
  readonly state: DriverState
  /** The interface's end on the host, where there is one (its counters are the sandbox's, mirrored). */
  readonly hostInterface?: string
}

export interface RecoveredNetwork {
  readonly network: NetworkSpec
  readonly state: DriverState | undefined
  readonly endpoints: readonly { readonly endpoint: EndpointSpec; readonly state: DriverState | undefined }[]
}

export interface RecoveryReport {
  /** Networks whose state is another than before. */
  readonly networks: readonly { readonly id: string; readonly state: DriverState }[]
  /** Endpoints that had to be made again: their routes are gone. */
  readonly endpoints: readonly { readonly id: string; readonly result: EndpointResult }[]
  /** What could not be mended: id of a network or endpoint, and why. */
  readonly failures: readonly { readonly id: string; readonly error: string }[]
  /** Names of kernel objects that belonged to nothing and were removed. */
  readonly removed: readonly string[]
}

export type NetworkDriverModule = DriverModule<NetworkDriver, DriverContext>
