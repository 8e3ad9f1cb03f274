import { readFileSync } from 'node:fs'
import type { Logger } from '../../../shared/log/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { bindSocket, closeSocket, holdSocket, reuseAddress } from '../../../shared/kernel/sockets.ts'
import { processOnPort } from './holder.ts'
import type { HostPort, HostPorts, HostPortState } from './host-ports.ts'
import { Relay, type RelayTarget } from './relay.ts'

/** A kept port: a socket that is bound, or one that listens too. Neither: the kernel has no such protocol. */
interface Held {
  fd: number | undefined
  relay: Relay | undefined
}

const keyOf = ({ protocol, hostIp, hostPort }: HostPort): string => `${protocol} ${hostIp} ${hostPort}`

/**
 * The ports of this host that containers have. Packets never reach the sockets, as they are led to the container before; but no process
 * can have a port by mistake that would get no traffic. The kernel knows best what is free, in some microseconds.
 */
export class HeldPorts implements HostPorts {
  readonly #log: Logger
  readonly #held = new Map<string, Held>()
  /** Files are needed for other things too: what is more is only looked at. */
  readonly #most: number
  #warned = false

  constructor(log: Logger, most: number = fileLimit() / 2) {
    this.#log = log
    this.#most = most
  }

  hold(port: HostPort): HostPortState {
    const key = keyOf(port)
    if (this.#held.has(key)) return 'free'
    try {
      const fd = holdSocket(port.protocol, port.hostIp, port.hostPort)
      if (this.#held.size < this.#most) this.#held.set(key, { fd, relay: undefined })
      else this.#justLook(fd)
      return 'free'
    } catch (error) {
      if (isCode(error, 'EADDRINUSE')) return 'taken'
      if (isCode(error, 'EADDRNOTAVAIL')) return 'foreign'
      // A kernel without SCTP, or without IPv6, has nobody who listens there.
      if (isCode(error, 'EPROTONOSUPPORT', 'EAFNOSUPPORT', 'ESOCKTNOSUPPORT')) return 'free'
      throw error
    }
  }

  #justLook(fd: number): void {
    closeSocket(fd)
    if (this.#warned) return
    this.#warned = true
    this.#log.warn(
      { held: this.#held.size },
      'too many published ports for the limit of open files (RLIMIT_NOFILE): processes of this host can take further ones',
    )
  }

  drop(port: HostPort): void {
    const held = this.#held.get(keyOf(port))
    if (!held) return
    this.#held.delete(keyOf(port))
    release(held)
  }

  relay(port: HostPort, target: RelayTarget | undefined): void {
    const held = this.#held.get(keyOf(port))
    if (target && held?.relay) held.relay.target = target
    else if (target) this.#listen(port, held, target)
    else if (held?.relay) {
      this.drop(port)
      const state = this.hold(port)
      if (state !== 'free') this.#log.warn({ port, state }, 'a published port is not kept from processes any more')
    }
  }

  #listen(port: HostPort, held: Held | undefined, target: RelayTarget): void {
    const failed = (error: unknown): void => {
      this.#log.warn({ error, port }, 'connections to a published port cannot be relayed')
    }
    if (held?.fd === undefined) return failed(new Error('the port is not held'))
    reuseAddress(held.fd)
    // The relay closes it from now on.
    held.relay = new Relay(held.fd, target, failed)
    held.fd = undefined
  }

  close(): void {
    for (const held of this.#held.values()) release(held)
    this.#held.clear()
  }

  holder = processOnPort

  range = ephemeralRange

  /** Whether a socket can have an IPv6 address at all (ipv6.disable, disable_ipv6). */
  hasIPv6(): boolean {
    try {
      closeSocket(bindSocket('tcp', '::1', 0))
      return true
    } catch (error) {
      if (isCode(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT')) return false
      throw error
    }
  }
}

function release({ fd, relay }: Held): void {
  if (fd !== undefined) closeSocket(fd)
  relay?.close()
}

/** How many files this process may have open. */
function fileLimit(): number {
  const [, soft = '1024'] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return soft === 'unlimited' ? Infinity : Number(soft)
}

/** The kernel's range for ports that it chooses itself (net.ipv4.ip_local_port_range), first and last. */
function ephemeralRange(): { first: number; last: number } {
  const text = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
  const [first = 32768, last = 60999] = text.trim().split(/\s+/).map(Number)
  return { first, last }
}
