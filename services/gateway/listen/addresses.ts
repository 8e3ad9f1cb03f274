import { BlockList, isIP, isIPv6 } from 'node:net'
import { invalid } from '../../../shared/errors/index.ts'

/** Where the API listens. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

export const isLoopback = (address: string): boolean =>
  isIP(address) !== 0 && loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/**
 * Reads `tcp://127.0.0.1:2375`. Whoever reaches the API is root on this machine, so without TLS only loopback will do.
 * @throws invalid naming the address
 */
export function parseHost(text: string): Address {
  const match = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]+):(\d{1,5})\/?$/.exec(text)
  const port = Number(match?.[2])
  const host = match?.[1]?.replace(/^\[|\]$/g, '').replace(/^localhost$/, '127.0.0.1')
  if (host === undefined || port > 65_535) {
    throw invalid(`"${text}" in hosts is no API address: use tcp://127.0.0.1:2375 or tcp://[::1]:2375`)
  }
  if (!isLoopback(host)) {
    throw invalid(
      `"${text}" in hosts is not a loopback address: without TLS everybody who reaches it would be root here; ` +
        'use tcp://127.0.0.1:PORT',
    )
  }
  return { kind: 'tcp', host, port }
}

export const addressText = (address: Address): string =>
  address.kind === 'unix'
    ? `unix://${address.path}`
    : `tcp://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`
