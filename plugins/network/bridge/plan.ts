import type { EndpointSpec, NetworkSpec } from '../../../shared/drivers/index.ts'
import { readConfig } from './config.ts'

/** What a network's bridge shall be. */
export interface BridgePlan {
  readonly bridge: string
  /** Fixed, or it would change with the ports. It tells our own bridge from one that the user made. */
  readonly mac: string
  readonly mtu: number | undefined
  /** With prefix length. */
  readonly addresses: readonly string[]
  /** Set before the bridge is up. */
  readonly sysctls: readonly (readonly [name: string, value: string])[]
}

/** What an endpoint's veth pair shall be. */
export interface EndpointPlan {
  readonly hostInterface: string
  /** Tells this endpoint's link from another of the same name. */
  readonly hostMac: string
  readonly mtu: number | undefined
  /** No packet goes from it to the network's other endpoints, or back. */
  readonly apart: boolean
  readonly ipv6: boolean
}

const MAX_NAME = 15

/** Names of veth ends on the host begin with this; `-` is in no engine's name, so no two engines' prefixes meet. */
export const hostPrefix = (engine: string): string => `${engine}-`

const bytes = (hex: string, from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => hex.slice(from + i * 2, from + i * 2 + 2)).join(':')

export function planNetwork(engine: string, network: NetworkSpec): BridgePlan {
  const config = readConfig(network.options)
  const isIsolated = (family: 'ipv4' | 'ipv6'): boolean => config.gatewayMode[family] === 'isolated'
  const bridge = config.name || (config.isDefault ? `${engine}0` : `br-${network.id.slice(0, 12)}`)
  const bare = { ipv4: config.inhibitIpv4 || isIsolated('ipv4'), ipv6: isIsolated('ipv6') }
  const subnets = network.subnets.filter((s) => s.gateway !== '' && !bare[s.cidr.includes(':') ? 'ipv6' : 'ipv4'])
  const conf6 = `net/ipv6/conf/${bridge}`
  return {
    bridge,
    mac: `02:47:${bytes(network.id, 0, 4)}`,
    mtu: config.mtu,
    addresses: subnets.map((s) => `${s.gateway}/${s.cidr.split('/')[1] ?? ''}`),
    sysctls: [
      // Without an address, not even a link-local one, the host is no neighbour there.
      [`${conf6}/disable_ipv6`, network.ipv6 && !bare.ipv6 ? '0' : '1'],
      // No container shall tell the host where to route.
      ...(network.ipv6 ? [[`${conf6}/accept_ra`, '0'] as const] : []),
    ],
  }
}

export function planEndpoint(engine: string, network: NetworkSpec, endpoint: EndpointSpec): EndpointPlan {
  const config = readConfig(network.options)
  const prefix = hostPrefix(engine)
  return {
    hostInterface: prefix + endpoint.id.slice(0, MAX_NAME - prefix.length),
    hostMac: `f2:${bytes(endpoint.id, 0, 5)}`,
    mtu: config.mtu,
    apart: !config.icc,
    ipv6: endpoint.addresses.some((a) => a.includes(':')),
  }
}
