import { poolOf } from './context.ts'
import type { EndpointRecord, NetworkRecord } from './records.ts'

/** An endpoint with its network. */
export interface Placed {
  readonly endpoint: EndpointRecord
  readonly network: NetworkRecord
}

export interface DefaultRoute {
  readonly placed: Placed
  readonly gateway: string
}

/** The gateway that a network gives an endpoint with this address; empty on internal networks. */
export const gatewayOf = (network: NetworkRecord, address: string): string =>
  network.internal ? '' : (poolOf(network, address)?.gateway ?? '')

/**
 * Through which endpoint the default route of a family goes: the highest priority wins, then the name that comes first, as with
 * Docker. Undefined when no network leads out.
 */
export function chooseDefaultRoute(endpoints: readonly Placed[], v6: boolean): DefaultRoute | undefined {
  const candidates = endpoints
    .map((placed) => ({ placed, gateway: gatewayOf(placed.network, v6 ? placed.endpoint.ipv6 : placed.endpoint.ipv4) }))
    .filter(({ gateway }) => gateway !== '')
  const priority = ({ placed }: DefaultRoute): number => placed.endpoint.request.gatewayPriority ?? 0
  const name = ({ placed }: DefaultRoute): string => placed.network.name
  return candidates.sort((a, b) => priority(b) - priority(a) || (name(a) < name(b) ? -1 : 1))[0]
}
