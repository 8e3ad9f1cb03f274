import { readFileSync } from 'node:fs'
import { isCode } from '../../../shared/kernel/libc.ts'
import { bindSocket, closeSocket } from '../../../shared/kernel/sockets.ts'
import type { PortRequest } from '../../../shared/contracts/index.ts'

/** `taken`: a process of this host listens there; `foreign`: the address is none of this host's. */
export type HostPortState = 'free' | 'taken' | 'foreign'

/**
 * Whether an address and port of this host can be bound: the kernel knows best, in some microseconds. A kernel without SCTP, or
 * without IPv6, has nobody who listens there.
 */
export function probeHostPort(protocol: PortRequest['protocol'], address: string, port: number): HostPortState {
  try {
    closeSocket(bindSocket(protocol, address, port))
    return 'free'
  } catch (error) {
    if (isCode(error, 'EADDRINUSE')) return 'taken'
    if (isCode(error, 'EADDRNOTAVAIL')) return 'foreign'
    if (isCode(error, 'EPROTONOSUPPORT', 'EAFNOSUPPORT', 'ESOCKTNOSUPPORT')) return 'free'
    throw error
  }
}

/** The kernel's range for ports that it chooses itself (net.ipv4.ip_local_port_range), first and last. */
export function ephemeralRange(): { first: number; last: number } {
  const text = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
  const [first = 32768, last = 60999] = text.trim().split(/\s+/).map(Number)
  return { first, last }
}
