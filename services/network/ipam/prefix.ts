import { isIP, isIPv6 } from 'node:net'
import IPCIDR from 'ip-cidr'
import { addressBytes, addressText } from '../../../shared/kernel/inet.ts'

/** A block of addresses; first and last are numbers, so that blocks of both families compare and count the same way. */
export interface Prefix {
  readonly v6: boolean
  readonly length: number
  readonly first: bigint
  readonly last: bigint
  /** Canonical text, host bits cleared: `10.1.2.0/24`. */
  readonly cidr: string
}

/** An IP address as a number; undefined when the text is none. */
export function parseAddress(text: string): { v6: boolean; value: bigint } | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined
  return { v6: isIPv6(text), value: BigInt(`0x${addressBytes(text).toString('hex')}`) }
}

/** The canonical text of an address (RFC 5952 for IPv6). */
export const formatAddress = (value: bigint, v6: boolean): string =>
  addressText(Buffer.from(value.toString(16).padStart(v6 ? 32 : 8, '0'), 'hex'))

/** `::ffff:10.0.0.1`: an IPv4 address, to be written as one. */
const isMapped = ({ v6, value }: { v6: boolean; value: bigint }): boolean => v6 && value >> 32n === 0xffffn

/** The block that `text` names, host bits cleared; undefined when it is not CIDR notation. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = '', length = ''] = text.split('/')
  const parsed = parseAddress(address)
  // ip-cidr also takes spellings that a user hardly means: a zone, leading zeros.
  if (!parsed || isMapped(parsed) || !/^(0|[1-9]\d{0,2})$/.test(length) || !IPCIDR.isValidCIDR(text)) return undefined
  const block = new IPCIDR(text)
  const [first, last] = block.toRange<bigint>({ type: 'bigInteger' })
  const { v6 } = parsed
  return { v6, length: Number(length), first, last, cidr: `${formatAddress(first, v6)}/${length}` }
}

/** The block of that length around an address. */
export function prefixAt(value: bigint, length: number, v6: boolean): Prefix {
  const host = (1n << BigInt((v6 ? 128 : 32) - length)) - 1n
  const first = value & ~host
  return { v6, length, first, last: first | host, cidr: `${formatAddress(first, v6)}/${length}` }
}

export const contains = (prefix: Prefix, address: { v6: boolean; value: bigint }): boolean =>
  prefix.v6 === address.v6 && address.value >= prefix.first && address.value <= prefix.last

export const overlaps = (a: Prefix, b: Prefix): boolean => a.v6 === b.v6 && a.first <= b.last && b.first <= a.last
