import { isIP, isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { canonicalAddress, isUnspecified } from '../../../shared/kernel/inet.ts'

/**
 * How a published port leads to a container over one family: by a port of the host; by the container's own address, which needs none;
 * not at all, when it has no address.
 */
export type Way = 'host port' | 'routed' | 'none'

/** The way over each family. */
export interface Families {
  readonly ipv4: Way
  readonly ipv6: Way
}

const LOOPBACK6 = '::1'
/** fe80::/10 */
const LINK_LOCAL6 = /^fe[89ab]/

/** Whether no two sockets can have these addresses and the same port. */
export const clash = (a: string, b: string): boolean =>
  isIPv6(a) === isIPv6(b) && (a === b || isUnspecified(a) || isUnspecified(b))

/**
 * Whether the service passes on the connections of a binding, since the kernel cannot: from IPv6 to IPv4, and from IPv6 loopback, which
 * it does not forward.
 */
export const isRelayed = (binding: Pick<PortBinding, 'protocol' | 'hostIp'>, families: Families): boolean =>
  binding.protocol === 'tcp' && isIPv6(binding.hostIp) && (binding.hostIp === LOOPBACK6 || families.ipv6 === 'none')

/** Whether the service listens on a binding's address: for what is relayed, and for IPv6 loopback, which `::` has among its addresses. */
export const isListenedOn = (binding: Pick<PortBinding, 'protocol' | 'hostIp'>, families: Families): boolean =>
  isRelayed(binding, families) || (binding.protocol === 'tcp' && binding.hostIp === '::')

/**
 * The host addresses on which a request needs a port: none where all of it is routed. `hostHasIPv6`: else no IPv6 address is added to
 * those that were asked for.
 */
export function hostAddresses(request: PortRequest, families: Families, hostHasIPv6: boolean): string[] {
  const { protocol, containerPort } = request
  const what = `publish ${containerPort}/${protocol}`
  const relays = protocol === 'tcp' && families.ipv4 === 'host port'
  if (request.hostIp === '') {
    const v6 = families.ipv6 === 'host port' || (families.ipv6 === 'none' && relays && hostHasIPv6)
    const all = [...(families.ipv4 === 'host port' ? ['0.0.0.0'] : []), ...(v6 ? ['::'] : [])]
    if (families.ipv4 === 'none' && families.ipv6 === 'none')
      throw invalid(`cannot ${what}: the container has no address on a network that publishes ports`)
    return all
  }
  const hostIp = bindable(request.hostIp)
  if (hostIp === undefined) throw invalid(`cannot ${what}: invalid host address ${request.hostIp}`)
  const lead = `cannot ${what} on ${hostIp}`
  if (LINK_LOCAL6.test(hostIp)) throw invalid(`${lead}: a link-local address is one of a single link; publish on [::]`)
  if (families[isIPv6(hostIp) ? 'ipv6' : 'ipv4'] === 'routed') return []
  if (!isIPv6(hostIp)) {
    if (families.ipv4 === 'none') throw invalid(`${lead}: the container has no IPv4 address`)
  } else if (hostIp === LOOPBACK6 && protocol !== 'tcp') {
    throw invalid(
      `${lead}: the kernel does not forward IPv6 loopback, only TCP is relayed; publish on 127.0.0.1 instead`,
    )
  } else if (families.ipv6 === 'none' && !relays) {
    throw invalid(`${lead}: the container has no IPv6 address, and only TCP is relayed to IPv4`)
  }
  return [hostIp]
}

/** One spelling for each address; undefined for what is none, or none that a socket of its family can be bound to. */
function bindable(address: string): string | undefined {
  if (isIP(address) === 0 || address.includes('%')) return undefined
  const text = canonicalAddress(address)
  return text.startsWith('::ffff:') ? undefined : text
}

/** What requests publish by the container's own addresses: no port of the host, and one entry for all that mean the same. */
export function routedBindings(requests: readonly PortRequest[], families: Families): PortBinding[] {
  const bindings = requests.flatMap(({ protocol, containerPort, hostIp }) =>
    (['ipv4', 'ipv6'] as const)
      .filter((family) => families[family] === 'routed' && (hostIp === '' || isIPv6(hostIp) === (family === 'ipv6')))
      .map((family) => ({ protocol, containerPort, hostIp: family === 'ipv4' ? '0.0.0.0' : '::', hostPort: 0 })),
  )
  return [...new Map(bindings.map((binding) => [JSON.stringify(binding), binding])).values()]
}
