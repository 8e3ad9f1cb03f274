import { isIP, isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../../shared/contracts/index.ts'
import { conflict, invalid } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { processOnPort } from './holder.ts'
import { ephemeralRange, probeHostPort, type HostPortState } from './host-ports.ts'

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE ports (
     protocol TEXT NOT NULL, host_port INTEGER NOT NULL, host_ip TEXT NOT NULL,
     owner TEXT NOT NULL, owner_name TEXT NOT NULL, position INTEGER NOT NULL, container_port INTEGER NOT NULL,
     PRIMARY KEY (protocol, host_port, host_ip)) STRICT, WITHOUT ROWID;
   CREATE INDEX ports_owner ON ports (owner, position);`,
]

/** Which addresses the container has, and so which families can be published. */
export interface Families {
  readonly ipv4: boolean
  readonly ipv6: boolean
}

/** What the allocator asks of the host; replaced in tests. */
export interface HostPorts {
  probe(protocol: PortRequest['protocol'], address: string, port: number): HostPortState
  holder(protocol: string, port: number): string | undefined
  range(): { first: number; last: number }
}

const HOST: HostPorts = { probe: probeHostPort, holder: processOnPort, range: ephemeralRange }

interface Held {
  host_ip: string
  owner: string
  owner_name: string
}

/**
 * Which port of the host is whose. Reservations are in the database, so that they survive a restart; a port that a process of
 * the host listens on is refused too. Synchronous, and part of the caller's transaction when there is one.
 */
export class PortAllocator {
  /** SQL, one string a schema version, for the service's list of migrations. */
  static readonly migrations = MIGRATIONS
  readonly #store: Store
  readonly #host: HostPorts
  /** Where the search for any free port goes on. */
  #next: number | undefined

  constructor(store: Store, host: HostPorts = HOST) {
    this.#store = store
    this.#host = host
  }

  /**
   * Reserves all ports of an owner, or none. An empty host address is every one of IPv4 (`0.0.0.0`), and of IPv6 (`::`) too when
   * the container has such an address: the same port on both. An owner that has ports gets those back.
   *
   * Throws `conflict` when a port is taken, naming by which container or process; `invalid` for an address that is not this
   * host's, or of a family that the container has no address of.
   */
  reserve(owner: string, ownerName: string, requests: readonly PortRequest[], families: Families): PortBinding[] {
    return this.#store.transaction(() => {
      const existing = this.of(owner)
      if (existing.length > 0) return existing
      const bindings: PortBinding[] = []
      for (const request of new Map(requests.map((request) => [JSON.stringify(request), request])).values()) {
        const addresses = hostAddresses(request, families)
        const hostPort = this.#choose(request, addresses)
        for (const hostIp of addresses) {
          const binding = { protocol: request.protocol, containerPort: request.containerPort, hostIp, hostPort }
          this.#insert(owner, ownerName, bindings.length, binding)
          bindings.push(binding)
        }
      }
      return bindings
    })
  }

  /** Gives an owner's ports back; one without is no error. */
  release(owner: string): void {
    this.#store.run('DELETE FROM ports WHERE owner = ?', owner)
  }

  /** The ports of an owner, as they were asked for. */
  of(owner: string): PortBinding[] {
    return this.#store
      .all<PortBinding>(
        `SELECT protocol, container_port AS containerPort, host_ip AS hostIp, host_port AS hostPort
       FROM ports WHERE owner = ? ORDER BY position`,
        owner,
      )
      .map((row) => ({ ...row }))
  }

  /** Everyone who has ports, to find those that are no more. */
  owners(): string[] {
    return this.#store.all<{ owner: string }>('SELECT DISTINCT owner FROM ports').map((row) => row.owner)
  }

  /** Takes over an owner's new name, for errors. */
  rename(owner: string, name: string): void {
    this.#store.run('UPDATE ports SET owner_name = ? WHERE owner = ?', name, owner)
  }

  #insert(owner: string, ownerName: string, position: number, binding: PortBinding): void {
    this.#store.run(
      'INSERT INTO ports (protocol, host_port, host_ip, owner, owner_name, position, container_port) VALUES (?, ?, ?, ?, ?, ?, ?)',
      binding.protocol,
      binding.hostPort,
      binding.hostIp,
      owner,
      ownerName,
      position,
      binding.containerPort,
    )
  }

  /** The port for a request: the one asked for, or a free one of its range. */
  #choose(request: PortRequest, addresses: readonly string[]): number {
    const { protocol, hostPort, hostPortEnd } = request
    const any = hostPort === 0
    if (!any && (hostPortEnd === undefined || hostPortEnd === hostPort)) {
      for (const address of addresses) this.#insist(protocol, address, hostPort)
      return hostPort
    }
    const { first, last } = any ? this.#host.range() : { first: hostPort, last: hostPortEnd ?? hostPort }
    if (last < first) throw invalid(`invalid host port range ${first}-${last}: its end is before its beginning`)
    const size = last - first + 1
    // Starting somewhere makes it unlikely that a port just given back goes to another container at once.
    const start = any ? (this.#next ?? first + Math.floor(Math.random() * size)) : first
    for (let i = 0; i < size; i++) {
      const port = first + ((start - first + i) % size)
      if (addresses.every((address) => this.#isFree(protocol, address, port))) {
        if (any) this.#next = port + 1
        return port
      }
    }
    throw conflict(`Bind for ${addresses[0] ?? ''}:${first}-${last} failed: all ports are allocated`)
  }

  #holder(protocol: string, address: string, port: number): Held | undefined {
    return this.#store
      .all<Held>('SELECT host_ip, owner, owner_name FROM ports WHERE protocol = ? AND host_port = ?', protocol, port)
      .find((held) => clash(held.host_ip, address))
  }

  #isFree(protocol: PortRequest['protocol'], address: string, port: number): boolean {
    if (this.#holder(protocol, address, port)) return false
    const state = this.#host.probe(protocol, address, port)
    if (state === 'foreign') throw foreign(protocol, address, port)
    return state === 'free'
  }

  #insist(protocol: PortRequest['protocol'], address: string, port: number): void {
    const shown = `${isIPv6(address) ? `[${address}]` : address}:${port}`
    const held = this.#holder(protocol, address, port)
    if (held)
      throw conflict(
        `Bind for ${shown} failed: port is already allocated (${protocol}, by container ${held.owner_name})`,
      )
    const state = this.#host.probe(protocol, address, port)
    if (state === 'foreign') throw foreign(protocol, address, port)
    if (state === 'taken') {
      const process = this.#host.holder(protocol, port) ?? 'a process'
      throw conflict(
        `failed to bind host port ${shown}/${protocol}: address already in use (by ${process} of this host)`,
      )
    }
  }
}

const foreign = (protocol: string, address: string, port: number): Error =>
  invalid(
    `failed to bind host port ${address}:${port}/${protocol}: cannot assign requested address: ${address} is no address of ` +
      'this host',
  )

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'

const clash = (a: string, b: string): boolean => isIPv6(a) === isIPv6(b) && (a === b || isAny(a) || isAny(b))

/** The host addresses that a request means. */
function hostAddresses(request: PortRequest, families: Families): string[] {
  const { hostIp, protocol, containerPort } = request
  const what = `publish ${containerPort}/${protocol}`
  if (hostIp === '') {
    const all = [...(families.ipv4 ? ['0.0.0.0'] : []), ...(families.ipv6 ? ['::'] : [])]
    if (all.length === 0)
      throw invalid(`cannot ${what}: the container has no address on a network that publishes ports`)
    return all
  }
  if (isIP(hostIp) === 0) throw invalid(`cannot ${what}: invalid host address ${hostIp}`)
  const v6 = isIPv6(hostIp)
  if (v6 ? !families.ipv6 : !families.ipv4) {
    throw invalid(`cannot ${what} on ${hostIp}: the container has no ${v6 ? 'IPv6' : 'IPv4'} address`)
  }
  if (hostIp === '::1') {
    throw invalid(`cannot ${what} on ::1: the kernel does not forward IPv6 loopback; publish on 127.0.0.1 instead`)
  }
  return [hostIp]
}
