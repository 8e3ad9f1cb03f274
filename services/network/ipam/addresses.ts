import { conflict, forbidden, invalid, notFound } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { Bitmap } from './bitmap.ts'
import { contains, formatAddress, parseAddress, parsePrefix, type Prefix } from './prefix.ts'
import type { AddressLease, AddressRequest } from './types.ts'
import { isHost } from './wishes.ts'

/** How many addresses of a pool are handed out unasked; more can be asked for by name. */
const WINDOW = 2n ** 20n
/** How many former holders of addresses a pool remembers. */
const REMEMBERED = 1024

interface AddressRow {
  network_id: string
  cidr: string
  address: string
  position: number | null
  owner: string | null
  holder: string
}

interface PoolRow {
  network_name: string
  ip_range: string | null
}

/** A pool with what its bitmap knows. The database is the truth: the bitmap only says where to look. */
interface Window {
  readonly subnet: Prefix
  readonly first: bigint
  readonly size: number
  readonly taken: Bitmap
  next: number
  /** Positions of former holders, so that a container that comes back gets its address again. */
  readonly former: Map<string, number>
}

/** Which address is whose. The pools are there already. */
export class AddressBook {
  readonly #store: Store
  readonly #windows = new Map<string, Window>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Keeps addresses of a new pool (the gateway, auxiliary ones) from being handed out; `addresses`: what to call each. */
  reserve(networkId: string, cidr: string, addresses: readonly { address: string; holder: string }[]): void {
    // A window left over from a network of the same id whose creation was rolled back.
    this.forget(networkId, cidr)
    const window = this.#window(networkId, cidr)
    for (const { address, holder } of addresses) {
      const value = parseAddress(address)?.value
      if (value !== undefined) this.#insert({ networkId, cidr, owner: null, holder }, window, value)
    }
  }

  /** The pool is no more. */
  forget(networkId: string, cidr: string): void {
    this.#windows.delete(windowKey(networkId, cidr))
  }

  /**
   * An address of a pool. An owner that has one keeps it. Without a wish it is the one that the owner had before, if that is
   * still free, else the next one that is, so that a just released address rests for a while. Throws `invalid` for an address
   * outside of the pool, `forbidden` when it is in use (naming by whom), `conflict` when the pool is full, `not-found` for an
   * unknown pool.
   */
  request(request: AddressRequest): string {
    const { networkId, cidr, owner, wanted } = request
    return this.#store.transaction(() => {
      const held = this.#store.get<AddressRow>(
        'SELECT * FROM ipam_addresses WHERE network_id = ? AND cidr = ? AND owner = ?',
        networkId,
        cidr,
        owner,
      )
      const window = this.#window(networkId, cidr)
      if (wanted) return this.#requestWanted(request, window, wanted, held)
      if (held) return held.address
      return this.#requestAny(request, window)
    })
  }

  /** Gives back all addresses of an owner, or those on one network. */
  releaseOwner(owner: string, networkId?: string): void {
    if (networkId === undefined) this.#free('owner = ?', owner)
    else this.#free('owner = ? AND network_id = ?', owner, networkId)
  }

  /** The addresses in use on a network, without gateways and auxiliary ones. */
  of(networkId: string): AddressLease[] {
    return this.#store.all<AddressLease & Record<string, string>>(
      `SELECT network_id AS networkId, cidr, address, owner FROM ipam_addresses
       WHERE network_id = ? AND owner IS NOT NULL ORDER BY cidr, position`,
      networkId,
    )
  }

  /** Every owner of an address, to find those that are no more. */
  owners(): string[] {
    return this.#store
      .all<{ owner: string }>('SELECT DISTINCT owner FROM ipam_addresses WHERE owner IS NOT NULL')
      .map((row) => row.owner)
  }

  #window(networkId: string, cidr: string): Window {
    const known = this.#windows.get(windowKey(networkId, cidr))
    if (known) return known
    const row = this.#store.get<PoolRow>('SELECT * FROM ipam_pools WHERE network_id = ? AND cidr = ?', networkId, cidr)
    const subnet = parsePrefix(cidr)
    if (!row || !subnet) throw notFound(`network ${networkId} has no subnet ${cidr}`)
    const range = (row.ip_range === null ? undefined : parsePrefix(row.ip_range)) ?? subnet
    const count = range.last - range.first + 1n
    const size = Number(count < WINDOW ? count : WINDOW)
    const taken = new Bitmap(size)
    const window: Window = { subnet, first: range.first, size, taken, next: 0, former: new Map() }
    for (const end of [subnet.first, subnet.last]) {
      const position = positionOf(window, end)
      if (position !== undefined && !isHost(subnet, end)) taken.set(position)
    }
    const rows = this.#store.all<{ position: number }>(
      'SELECT position FROM ipam_addresses WHERE network_id = ? AND cidr = ? AND position IS NOT NULL',
      networkId,
      cidr,
    )
    for (const { position } of rows) taken.set(position)
    this.#windows.set(windowKey(networkId, cidr), window)
    return window
  }

  #requestWanted(request: AddressRequest, window: Window, wanted: string, held: AddressRow | undefined): string {
    const { subnet } = window
    const address = hostOf(subnet, wanted)
    const text = formatAddress(address.value, address.v6)
    if (held?.address === text) return text
    if (held) throw conflict(`${request.holder} has the address ${held.address} of ${subnet.cidr} already`)
    if (this.#insert(request, window, address.value)) return text
    const other = this.#store.get<AddressRow>(
      'SELECT * FROM ipam_addresses WHERE network_id = ? AND address = ?',
      request.networkId,
      text,
    )
    throw forbidden(`Address already in use: ${text} belongs to ${other?.holder ?? 'another container'}`)
  }

  #requestAny(request: AddressRequest, window: Window): string {
    const { networkId, cidr, owner } = request
    const former = window.former.get(owner)
    let position = former !== undefined && !window.taken.has(former) ? former : window.taken.nextFree(window.next)
    if (position === undefined) {
      // The bitmap may know of addresses whose transaction was rolled back.
      this.#windows.delete(windowKey(networkId, cidr))
      window = this.#window(networkId, cidr)
      position = window.taken.nextFree(0)
    }
    for (; position !== undefined; position = window.taken.nextFree(position)) {
      const value = window.first + BigInt(position)
      // Taken all the same when a release was rolled back; now the bitmap knows.
      const free = this.#insert(request, window, value)
      window.taken.set(position)
      if (!free) continue
      if (position !== former) window.next = position + 1 < window.size ? position + 1 : 0
      return formatAddress(value, window.subnet.v6)
    }
    const network = this.#store.get<PoolRow>('SELECT * FROM ipam_pools WHERE network_id = ?', networkId)
    throw conflict(
      `no available ${window.subnet.v6 ? 'IPv6' : 'IPv4'} addresses on this network's address pools: ` +
        `${network?.network_name ?? ''} (${networkId}): ${cidr} is full`,
    )
  }

  #insert(
    to: { networkId: string; cidr: string; owner: string | null; holder: string },
    window: Window,
    value: bigint,
  ): boolean {
    const position = positionOf(window, value)
    const { changes } = this.#store.run(
      'INSERT INTO ipam_addresses VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (network_id, address) DO NOTHING',
      to.networkId,
      to.cidr,
      formatAddress(value, window.subnet.v6),
      position ?? null,
      to.owner,
      to.holder,
    )
    if (position !== undefined) window.taken.set(position)
    return changes === 1
  }

  #free(where: string, ...args: string[]): void {
    const rows = this.#store.all<AddressRow>(
      `DELETE FROM ipam_addresses WHERE owner IS NOT NULL AND ${where} RETURNING *`,
      ...args,
    )
    for (const row of rows) {
      const window = this.#windows.get(windowKey(row.network_id, row.cidr))
      if (!window || row.position === null || row.owner === null) continue
      window.taken.clear(row.position)
      window.former.delete(row.owner)
      window.former.set(row.owner, row.position)
      const oldest = window.former.size > REMEMBERED ? window.former.keys().next().value : undefined
      if (oldest !== undefined) window.former.delete(oldest)
    }
  }
}

/** An address that a container may have in a subnet; throws `invalid` for any other. */
function hostOf(subnet: Prefix, wanted: string): { v6: boolean; value: bigint } {
  const address = parseAddress(wanted)
  if (!address) throw invalid(`invalid address ${wanted}: it should be like ${formatAddress(subnet.first, subnet.v6)}`)
  if (!contains(subnet, address)) {
    throw invalid(
      `Requested address is out of range: no configured subnet contains IP address ${wanted} (the subnet is ${subnet.cidr})`,
    )
  }
  if (!isHost(subnet, address.value)) {
    throw invalid(`Requested address ${wanted} cannot be a container's: it is an end of the subnet ${subnet.cidr}`)
  }
  return address
}

/** Throws `invalid` for an address that no container can have in a subnet, whoever has it now. */
export function checkAddress(cidr: string, wanted: string): void {
  const subnet = parsePrefix(cidr)
  if (subnet) hostOf(subnet, wanted)
}

const windowKey = (networkId: string, cidr: string): string => `${networkId} ${cidr}`

function positionOf(window: Pick<Window, 'first' | 'size'>, value: bigint): number | undefined {
  const position = value - window.first
  return position >= 0n && position < BigInt(window.size) ? Number(position) : undefined
}
