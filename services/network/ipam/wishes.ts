import { invalid } from '../../../shared/errors/index.ts'
import { contains, formatAddress, overlaps, parseAddress, parsePrefix, type Prefix } from './prefix.ts'
import type { Pool, PoolWish } from './types.ts'

/** A wish whose texts are all understood; what was left out is undefined. */
export interface ParsedWish {
  readonly subnet: Prefix | undefined
  readonly range: Prefix | undefined
  readonly gateway: bigint | undefined
  readonly withoutGateway: boolean
  readonly aux: ReadonlyMap<string, bigint>
  readonly v6: boolean
}

const reserved = (why: string, ...blocks: string[]): { why: string; block: Prefix }[] =>
  blocks.flatMap((text) => {
    const block = parsePrefix(text)
    return block ? [{ why, block }] : []
  })

/** What no interface can have, or nobody could reach: RFC 6890. */
const UNUSABLE = [
  ...reserved('loopback addresses lead to nobody else', '127.0.0.0/8', '::1/128'),
  ...reserved('multicast addresses are those of groups', '224.0.0.0/4', 'ff00::/8'),
]

const family = (v6: boolean): string => (v6 ? 'IPv6' : 'IPv4')

/** Checks the wishes of one network, all of them before anything is said: Docker's wording, a line for each fault. */
export function parseWishes(wishes: readonly PoolWish[]): ParsedWish[] {
  const faults: string[] = []
  const parsed = wishes.map((wish) => parseWish(wish, faults))
  if (faults.length > 0) throw invalid(`invalid network config:\n${faults.join('\n')}`)
  return parsed
}

function parseWish(wish: PoolWish, faults: string[]): ParsedWish {
  const subnet = parseBlock('subnet', wish.subnet, faults)
  const unusable = subnet && UNUSABLE.find(({ block }) => overlaps(block, subnet))
  if (subnet && unusable) faults.push(`invalid subnet ${subnet.cidr}: ${unusable.why}`)
  const dependent = wish.ipRange ?? wish.gateway ?? Object.values(wish.aux ?? {})[0]
  // An empty text is as good as none: clients send them.
  if (!wish.subnet && dependent) faults.push(`${dependent} needs a subnet that it is part of: give --subnet too`)
  const range = parseBlock('ip-range', wish.ipRange, faults)
  if (range && subnet) checkRange(range, subnet, faults)
  const gateway = parseHost('gateway', wish.gateway, subnet, faults)
  const aux = new Map<string, bigint>()
  for (const [name, text] of Object.entries(wish.aux ?? {})) {
    const value = parseHost(`auxiliary address "${name}"`, text, subnet, faults)
    if (value === undefined) continue
    const other = value === gateway ? 'the gateway' : [...aux].find(([, taken]) => taken === value)?.[0]
    if (other !== undefined) faults.push(`invalid auxiliary address "${name}" ${text}: the same as ${other}`)
    aux.set(name, value)
  }
  const withoutGateway = wish.withoutGateway === true && gateway === undefined
  return { subnet, range, gateway, withoutGateway, aux, v6: subnet?.v6 ?? wish.v6 ?? false }
}

function parseBlock(what: string, text: string | undefined, faults: string[]): Prefix | undefined {
  if (!text) return undefined
  const prefix = parsePrefix(text)
  if (!prefix) {
    faults.push(`invalid ${what} ${text}: invalid CIDR block notation (it should be like 10.77.1.0/24 or fd00:1::/64)`)
    return undefined
  }
  const given = parseAddress(text.split('/')[0] ?? '')
  if (given?.value !== prefix.first) faults.push(`invalid ${what} ${text}: it should be ${prefix.cidr}`)
  return prefix
}

function checkRange(range: Prefix, subnet: Prefix, faults: string[]): void {
  const fault = (why: string): unknown => faults.push(`invalid ip-range ${range.cidr}: ${why}`)
  if (range.v6 !== subnet.v6) fault(`parent subnet is an ${family(subnet.v6)} block`)
  else if (range.length < subnet.length) fault(`CIDR block is bigger than its parent subnet ${subnet.cidr}`)
  else if (range.first < subnet.first || range.last > subnet.last)
    fault(`parent subnet ${subnet.cidr} doesn't contain ip-range`)
}

function parseHost(
  what: string,
  text: string | undefined,
  subnet: Prefix | undefined,
  faults: string[],
): bigint | undefined {
  if (!text) return undefined
  const address = parseAddress(text)
  const fault = (why: string): unknown => faults.push(`invalid ${what} ${text}: ${why}`)
  if (!address) fault('invalid address')
  else if (subnet && address.v6 !== subnet.v6) fault(`parent subnet is an ${family(subnet.v6)} block`)
  else if (subnet && !contains(subnet, address)) fault(`parent subnet ${subnet.cidr} doesn't contain this address`)
  else if (subnet && !isHost(subnet, address.value)) fault(`it is ${unusable(subnet, address.value)} of ${subnet.cidr}`)
  else return address.value
  return undefined
}

/**
 * Whether an address of the subnet can be an interface's. The first one is the network's own (IPv4) or any router's (RFC 4291,
 * 2.6.1), the last one of IPv4 is broadcast; where there are but one or two, all can be (RFC 3021, RFC 6164).
 */
export function isHost(subnet: Prefix, value: bigint): boolean {
  if (subnet.last - subnet.first < 2n) return true
  return value !== subnet.first && (subnet.v6 || value !== subnet.last)
}

const unusable = (subnet: Prefix, value: bigint): string =>
  value === subnet.first ? 'the network address' : 'the broadcast address'

/** The pool that a wish and its subnet make; the gateway is the first address that is free, unless it was asked for. */
export function resolvePool(wish: ParsedWish, subnet: Prefix): Pool {
  const aux = [...wish.aux].map(([name, value]) => [name, formatAddress(value, subnet.v6)] as const)
  return {
    cidr: subnet.cidr,
    gateway: wish.withoutGateway ? '' : formatAddress(wish.gateway ?? firstFree(wish, subnet), subnet.v6),
    ...(wish.range ? { ipRange: wish.range.cidr } : {}),
    aux: Object.fromEntries(aux),
    v6: subnet.v6,
  }
}

function firstFree({ aux }: ParsedWish, subnet: Prefix): bigint {
  const taken = new Set(aux.values())
  let gateway = subnet.first
  while (!isHost(subnet, gateway) || taken.has(gateway)) gateway++
  if (gateway > subnet.last) throw invalid(`invalid subnet ${subnet.cidr}: no address is left for the gateway`)
  return gateway
}
