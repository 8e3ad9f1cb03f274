/**
 * What the firewall must make true. A network without a bridge on this host (macvlan, none, host) is no part of it.
 */
export interface FirewallNetwork {
  /** The network's id: the key for changing or removing it. */
  readonly id: string
  /** The bridge's interface name. */
  readonly bridge: string
  /** Nothing gets in or out but between its own containers (`docker network create --internal`). */
  readonly internal: boolean
  /** Containers may talk to each other (`com.docker.network.bridge.enable_icc`). */
  readonly icc: boolean
  /** Families whose traffic gets the host's address when it leaves the bridge (`com.docker.network.bridge.enable_ip_masquerade`). */
  readonly masquerade: readonly Family[]
  /** Families over which others reach its published ports by the containers' own addresses (`gateway_mode_ipv4`, `_ipv6`). */
  readonly routed: readonly Family[]
  /** Families over which who comes from outside reaches every port of its containers by their own addresses. */
  readonly unprotected: readonly Family[]
  /** The network has an IPv6 subnet: forwarding of IPv6 is switched on. */
  readonly ipv6: boolean
}

export const FAMILIES = ['ipv4', 'ipv6'] as const
export type Family = (typeof FAMILIES)[number]

export type Protocol = 'tcp' | 'udp' | 'sctp'

/**
 * One published port: traffic to hostIp:hostPort goes to address:containerPort. Where these are the same, the container itself is
 * reached there, and no address is translated.
 */
export interface PublishedPort {
  readonly protocol: Protocol
  /** `0.0.0.0` and `::` mean every address of the host of that family. */
  readonly hostIp: string
  readonly hostPort: number
  /** The container's address, of the same family as hostIp, without prefix length. */
  readonly address: string
  readonly containerPort: number
}

/** Everything, for a full rebuild. */
export interface FirewallModel {
  readonly networks: readonly FirewallNetwork[]
  /** By owner (the sandbox's id). */
  readonly ports: ReadonlyMap<string, readonly PublishedPort[]>
}
