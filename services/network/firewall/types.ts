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
  /** Traffic that leaves the bridge gets the host's address (`com.docker.network.bridge.enable_ip_masquerade`). */
  readonly masquerade: boolean
  /** The network has an IPv6 subnet: forwarding of IPv6 is switched on. */
  readonly ipv6: boolean
}

export type Family = 'ipv4' | 'ipv6'

export type Protocol = 'tcp' | 'udp' | 'sctp'

/** One published port: traffic to hostIp:hostPort goes to address:containerPort. */
export interface PublishedPort {
  readonly protocol: Protocol
  /** `0.0.0.0` and `::` (also `''`: 0.0.0.0) mean every address of the host of that family. */
  readonly hostIp: string
  readonly hostPort: number
  /** The container's address, of the same family as hostIp, without prefix length. */
  readonly address: string
  readonly containerPort: number
}

/** Whether a host address stands for all of its family. */
export const isAny = (hostIp: string): boolean => hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::'

/** Everything, for a full rebuild. */
export interface FirewallModel {
  readonly networks: readonly FirewallNetwork[]
  /** By owner (the sandbox's id). */
  readonly ports: ReadonlyMap<string, readonly PublishedPort[]>
}
