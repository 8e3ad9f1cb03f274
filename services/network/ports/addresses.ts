import { isIP, isIPv6, SocketAddress } from 'node:net'
import type { PortBinding, PortRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'

/** Which addresses the container has, and so where published ports can lead to. */
export interface Families {
  readonly ipv4: boolean
  readonly ipv6: boolean
}

const LOOPBACK6 = '::1'

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** Whether no two sockets can have these addresses and the same port. */
export const clash = (a: string, b: string): boolean => isIPv6(a) === isIPv6(b) && (a === b || isAny(a) || isAny(b))

/**
 * Whether the service passes on the connections of a binding, since the kernel cannot: from IPv6 to IPv4, and from IPv6 loopback, which
 * it does not forward.
 */
export const isRelayed = (binding: Pick<PortBinding, 'protocol' | 'hostIp'>, families: Families): boolean =>
  binding.protocol === 'tcp' && isIPv6(binding.hostIp) && (binding.hostIp === LOOPBACK6 || !families.ipv6)

/** Whether the service listens on a binding's address: for what is relayed, and for IPv6 loopback, which `::` has among its addresses. */
export const isListenedOn = (binding: Pick<PortBinding, 'protocol' | 'hostIp'>, families: Families): boolean =>
  isRelayed(binding, families) || (binding.protocol === 'tcp' && binding.hostIp === '::')

/** The host addresses that a request means. `hostHasIPv6`: else no IPv6 address is added to those that were asked for. */
export function hostAddresses(request: PortRequest, families: Families, hostHasIPv6: boolean): string[] {
  const { protocol, containerPort } = request
  const what = `publish ${containerPort}/${protocol}`
  const relays = protocol === 'tcp' && families.ipv4
  if (request.hostIp === '') {
    const v6 = families.ipv6 || (relays && hostHasIPv6)
    const all = [...(families.ipv4 ? ['0.0.0.0'] : []), ...(v6 ? ['::'] : [])]
    if (all.length === 0)
      throw invalid(`cannot ${what}: the container has no address on a network that publishes ports`)
    return all
  }
  const hostIp = canonical(request.hostIp)
  if (hostIp === undefined) throw invalid(`cannot ${what}: invalid host address ${request.hostIp}`)
  const lead = `cannot ${what} on ${hostIp}`
  if (!isIPv6(hostIp)) {
    if (!families.ipv4) throw invalid(`${lead}: the container has no IPv4 address`)
  } else if (hostIp === LOOPBACK6) {
    if (protocol !== 'tcp')
      throw invalid(
        `${lead}: the kernel does not forward IPv6 loopback, only TCP is relayed; publish on 127.0.0.1 instead`,
      )
  } else if (!families.ipv6 && !relays) {
    throw invalid(`${lead}: the container has no IPv6 address, and only TCP is relayed to IPv4`)
  }
  return [hostIp]
}

/** One spelling for each address; undefined for what is none, or none that a socket of its family can be bound to. */
function canonical(address: string): string | undefined {
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : undefined
  if (address.includes('%')) return undefined
  const text = new SocketAddress({ address, family: 'ipv6' }).address
  return text.startsWith('::ffff:') ? undefined : text
}
