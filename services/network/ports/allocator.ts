import { isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../../shared/contracts/index.ts'
import { conflict, GantryError, invalid } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { clash, type Families, hostAddresses } from './addresses.ts'
import type { HostPort, HostPorts, HostPortState } from './host-ports.ts'
import type { RelayTarget } from './relay.ts'

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE ports (
     protocol TEXT NOT NULL, host_port INTEGER NOT NULL, host_ip TEXT NOT NULL,
     owner TEXT NOT NULL, owner_name TEXT NOT NULL, position INTEGER NOT NULL, container_port INTEGER NOT NULL,
     PRIMARY KEY (protocol, host_port, host_ip)) STRICT, WITHOUT ROWID;
   CREATE INDEX ports_owner ON ports (owner, position);`,
]

interface Row extends PortBinding {
  readonly protocol: PortRequest['protocol']
  readonly position: number
}

interface Holder {
  readonly host_ip: string
  readonly owner: string
  readonly owner_name: string
}

interface Obstacle {
  readonly at: HostPort
  /** The container that has it; undefined: a process. */
  readonly holder: Holder | undefined
  readonly state: HostPortState
}

/** Told of a request that cannot be met. May throw, which ends the whole; else that request is left out. */
export type OnRefusal = (error: GantryError) => void

const refuse: OnRefusal = (error) => {
  throw error
}

/** Bindings of one request stay together: IPv4 first. */
const positionOf = (request: number, address: string): number => request * 2 + (isIPv6(address) ? 1 : 0)

const meets = (row: Row, { protocol, containerPort, hostPort, hostPortEnd = hostPort }: PortRequest): boolean =>
  row.protocol === protocol &&
  row.containerPort === containerPort &&
  (hostPort === 0 || (row.hostPort >= hostPort && row.hostPort <= hostPortEnd))

/**
 * Which port of the host is whose. Reservations are in the database, so that they survive a restart; each is kept from the processes
 * of the host by a socket too. Synchronous, and part of the caller's transaction when there is one.
 */
export class PortAllocator {
  /** SQL, one string a schema version, for the service's list of migrations. */
  static readonly migrations = MIGRATIONS
  readonly #store: Store
  readonly #host: HostPorts
  /** Where the search for any free port goes on. */
  #next: number | undefined

  constructor(store: Store, host: HostPorts) {
    this.#store = store
    this.#host = host
  }

  /**
   * Makes an owner's reservations what its requests mean with these families: what is right already stays, a port that was chosen
   * by chance too. All or nothing, but for what `refused` lets pass. An empty host address is every one of IPv4 (`0.0.0.0`) and, where
   * something can lead there, of IPv6 (`::`): the same port on both.
   *
   * Refuses with `conflict` a port that is taken, naming by which container or process; with `invalid` an address that is not this
   * host's, or of a family that the container has no address of.
   */
  reserve(
    owner: string,
    ownerName: string,
    requests: readonly PortRequest[],
    families: Families,
    refused: OnRefusal = refuse,
  ): PortBinding[] {
    const opened: HostPort[] = []
    const dropped: HostPort[] = []
    try {
      return this.#store.transaction(() => {
        const distinct = [...new Map(requests.map((request) => [JSON.stringify(request), request])).values()]
        const hasIPv6 = this.#host.hasIPv6()
        const wishes = distinct.map(
          (request) => attempt(() => hostAddresses(request, families, hasIPv6), refused) ?? [],
        )
        const before = this.#rows(owner)
        // What goes is gone before what comes: it may be the same port on another address.
        const kept = before.filter((row) => {
          const request = distinct[row.position >> 1]
          const stays = request && meets(row, request) && wishes[row.position >> 1]?.includes(row.hostIp)
          if (!stays) this.#remove(row, dropped)
          return stays
        })
        const had = Map.groupBy(before, (row) => row.position >> 1)
        const has = new Set(kept.map((row) => row.position))
        distinct.forEach((request, index) => {
          const missing = (wishes[index] ?? []).filter((address) => !has.has(positionOf(index, address)))
          if (missing.length === 0) return
          const known = had.get(index)?.find((row) => meets(row, request))?.hostPort
          const hostPort = attempt(() => this.#choose(request, missing, known, opened), refused)
          if (hostPort === undefined) return
          for (const hostIp of missing)
            this.#insert(owner, ownerName, { ...request, hostIp, hostPort, position: positionOf(index, hostIp) })
        })
        return this.of(owner)
      })
    } catch (error) {
      for (const port of opened) this.#host.drop(port)
      for (const port of dropped) this.#host.hold(port)
      throw error
    }
  }

  /** Gives an owner's ports back; one without is no error. */
  release(owner: string): void {
    const dropped: HostPort[] = []
    for (const row of this.#rows(owner)) this.#remove(row, dropped)
  }

  /** After a start: keeps all reserved ports again. Returns what it says of those that a process has taken meanwhile. */
  reopen(): string[] {
    return this.owners().flatMap((owner) =>
      this.#rows(owner).flatMap((row) => {
        const state = this.#host.hold(row)
        return state === 'free' ? [] : [`${shown(row)}/${row.protocol} ${this.#whoHas(row, state)}`]
      }),
    )
  }

  /** Opens and closes relays, as `target` says where an owner's relayed ports lead to. */
  relay(owner: string, target: (port: PortBinding) => RelayTarget | undefined): void {
    for (const row of this.#rows(owner)) if (row.protocol === 'tcp') this.#host.relay(row, target(row))
  }

  /** The ports of an owner, as they were asked for. */
  of(owner: string): PortBinding[] {
    return this.#rows(owner).map(({ position: _, ...binding }) => binding)
  }

  /** Everyone who has ports, to find those that are no more. */
  owners(): string[] {
    return this.#store.all<{ owner: string }>('SELECT DISTINCT owner FROM ports').map((row) => row.owner)
  }

  /** Takes over an owner's new name, for errors. */
  rename(owner: string, name: string): void {
    this.#store.run('UPDATE ports SET owner_name = ? WHERE owner = ?', name, owner)
  }

  /** Lets go of the host's ports; the reservations stay. */
  close(): void {
    this.#host.close()
  }

  #rows(owner: string): Row[] {
    return this.#store.all<Row>(
      `SELECT protocol, container_port AS containerPort, host_ip AS hostIp, host_port AS hostPort, position
       FROM ports WHERE owner = ? ORDER BY position`,
      owner,
    )
  }

  #insert(owner: string, ownerName: string, row: Row): void {
    this.#store.run(
      'INSERT INTO ports (protocol, host_port, host_ip, owner, owner_name, position, container_port) VALUES (?, ?, ?, ?, ?, ?, ?)',
      row.protocol,
      row.hostPort,
      row.hostIp,
      owner,
      ownerName,
      row.position,
      row.containerPort,
    )
  }

  #remove(row: Row, dropped: HostPort[]): void {
    this.#store.run(
      'DELETE FROM ports WHERE protocol = ? AND host_port = ? AND host_ip = ?',
      row.protocol,
      row.hostPort,
      row.hostIp,
    )
    this.#host.drop(row)
    dropped.push(row)
  }

  /**
   * Holds the port for a request: the one asked for, or any free one of its range. That is `known`, which its other addresses have,
   * where it is free; those keep it in any case.
   */
  #choose(request: PortRequest, addresses: readonly string[], known: number | undefined, opened: HostPort[]): number {
    const { protocol, hostPort, hostPortEnd = hostPort } = request
    if (hostPort !== 0 && hostPortEnd === hostPort) {
      this.#take({ protocol, hostPort }, addresses, opened)
      return hostPort
    }
    if (known !== undefined && !this.#tryTake({ protocol, hostPort: known }, addresses, opened)) return known
    const any = hostPort === 0
    const { first, last } = any ? this.#host.range() : { first: hostPort, last: hostPortEnd }
    if (last < first) throw invalid(`invalid host port range ${first}-${last}: its end is before its beginning`)
    const size = last - first + 1
    // Starting somewhere makes it unlikely that a port just given back goes to another container at once.
    const start = any ? (this.#next ?? first + Math.floor(Math.random() * size)) : first
    for (let i = 0; i < size; i++) {
      const port = first + ((start - first + i) % size)
      const obstacle = this.#tryTake({ protocol, hostPort: port }, addresses, opened)
      if (obstacle?.state === 'foreign') throw invalid(this.#failure(obstacle.at, obstacle.state))
      if (obstacle) continue
      if (any) this.#next = port + 1
      return port
    }
    throw conflict(`Bind for ${addresses[0] ?? ''}:${first}-${last} failed: all ports are allocated`)
  }

  #holder({ protocol, hostIp, hostPort }: HostPort): Holder | undefined {
    return this.#store
      .all<Holder>(
        'SELECT host_ip, owner, owner_name FROM ports WHERE protocol = ? AND host_port = ?',
        protocol,
        hostPort,
      )
      .find((held) => clash(held.host_ip, hostIp))
  }

  /** Holds a port on all addresses, or says who is in the way. */
  #take(port: Omit<HostPort, 'hostIp'>, addresses: readonly string[], opened: HostPort[]): void {
    const obstacle = this.#tryTake(port, addresses, opened)
    if (!obstacle) return
    const { at, holder, state } = obstacle
    if (holder) {
      const by = `${port.protocol}, by container ${holder.owner_name}`
      throw conflict(`Bind for ${shown(at)} failed: port is already allocated (${by})`)
    }
    throw (state === 'foreign' ? invalid : conflict)(this.#failure(at, state))
  }

  /** Holds a port on all addresses; or on none, and returns what is in the way. */
  #tryTake(port: Omit<HostPort, 'hostIp'>, addresses: readonly string[], opened: HostPort[]): Obstacle | undefined {
    const held: HostPort[] = []
    for (const hostIp of addresses) {
      const at = { ...port, hostIp }
      const holder = this.#holder(at)
      const state = holder ? 'taken' : this.#host.hold(at)
      if (state !== 'free') {
        for (const other of held) this.#host.drop(other)
        return { at, holder, state }
      }
      held.push(at)
    }
    opened.push(...held)
    return undefined
  }

  #failure(port: HostPort, state: HostPortState): string {
    return `failed to bind host port ${shown(port)}/${port.protocol}: ${this.#whoHas(port, state)}`
  }

  #whoHas({ protocol, hostIp, hostPort }: HostPort, state: HostPortState): string {
    if (state === 'foreign') return `cannot assign requested address: ${hostIp} is no address of this host`
    return `address already in use (by ${this.#host.holder(protocol, hostPort) ?? 'a process'} of this host)`
  }
}

function attempt<T>(work: () => T, refused: OnRefusal): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof GantryError)) throw error
    refused(error)
    return undefined
  }
}

const shown = ({ hostIp, hostPort }: HostPort): string => `${isIPv6(hostIp) ? `[${hostIp}]` : hostIp}:${hostPort}`
