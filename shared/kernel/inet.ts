import { isIPv6 } from 'node:net'
import { libc } from './libc.ts'

const AF_INET = 2
const AF_INET6 = 10
const pton = libc.func('int inet_pton(int family, const char *source, _Out_ uint8_t *target)') as (
  family: number,
  source: string,
  target: Uint8Array,
) => number
const ntop = libc.func('const char *inet_ntop(int family, const void *source, _Out_ char *target, uint32_t size)') as (
  family: number,
  source: Uint8Array,
  target: Uint8Array,
  size: number,
) => string

export const familyOf = (address: string): number => (isIPv6(address) ? AF_INET6 : AF_INET)

/** An IP address in network order: 4 or 16 bytes (inet_pton(3)). Throws RangeError when it is none. */
export function addressBytes(address: string): Buffer {
  const family = familyOf(address)
  const bytes = Buffer.alloc(family === AF_INET6 ? 16 : 4)
  if (pton(family, address, bytes) !== 1) throw new RangeError(`"${address}" is not an IP address`)
  return bytes
}

/** The text of an address of 4 or 16 bytes (inet_ntop(3)). */
export const addressText = (bytes: Uint8Array): string =>
  ntop(bytes.length === 16 ? AF_INET6 : AF_INET, bytes, Buffer.alloc(46), 46)

/** The one spelling of an address, so that texts can be compared: RFC 5952 for IPv6. */
export const canonicalAddress = (address: string): string => addressText(addressBytes(address))

/** Whether an address to bind to stands for all of its family. */
export const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** `10.0.0.1/8` as address bytes and prefix length. */
export function parsePrefix(cidr: string): { address: Buffer; length: number } {
  const [address = '', length = ''] = cidr.split('/')
  const bytes = addressBytes(address)
  return { address: bytes, length: length === '' ? bytes.length * 8 : Number(length) }
}

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex')

export const macText = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(':')
