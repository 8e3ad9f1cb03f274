import { randomBytes } from 'node:crypto'
import { conflict, forbidden } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { AddressBook } from './addresses.ts'
import { Blocks } from './blocks.ts'
import { DEFAULT_POOLS, DefaultPools, parseRanges, uniqueLocalBase } from './defaults.ts'
import { overlaps, parsePrefix, type Prefix } from './prefix.ts'
import { TakenPools } from './taken.ts'
import type { AddressLease, AddressRequest, HostRoute, Pool, PoolRange, PoolWish } from './types.ts'
import { parseWishes, resolvePool, type ParsedWish } from './wishes.ts'

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE ipam_pools (
     network_id TEXT NOT NULL, network_name TEXT NOT NULL, position INTEGER NOT NULL,
     cidr TEXT NOT NULL, gateway TEXT NOT NULL, ip_range TEXT, aux TEXT NOT NULL,
     PRIMARY KEY (network_id, cidr)) STRICT;
   CREATE TABLE ipam_addresses (
     network_id TEXT NOT NULL, cidr TEXT NOT NULL, address TEXT NOT NULL, position INTEGER,
     owner TEXT, holder TEXT NOT NULL,
     PRIMARY KEY (network_id, address),
     UNIQUE (network_id, cidr, owner),
     FOREIGN KEY (network_id, cidr) REFERENCES ipam_pools ON DELETE CASCADE) STRICT;
   CREATE INDEX ipam_owners ON ipam_addresses (owner);`,
]

interface PoolRow {
  network_id: string
  network_name: string
  cidr: string
  gateway: string
  ip_range: string | null
  aux: string
}

/**
 * IP address management: which subnet is which network's, which address is whose. All calls are synchronous and part of the
 * caller's transaction, when there is one; the database is the truth, so that a transaction rolled back leaves nothing behind.
 */
export class Ipam {
  /** SQL, one string a schema version, for the service's list of migrations. */
  static readonly migrations = MIGRATIONS
  readonly #store: Store
  readonly #defaults: DefaultPools
  /** For IPv6 when the defaults have none. */
  #uniqueLocal: DefaultPools | undefined
  readonly #addresses: AddressBook
  readonly #taken: TakenPools
  /** The host's routes, understood once. */
  #routes = new Map<string, Prefix | undefined>()

  /** `pools`: the default ranges; throws `invalid` when one of them makes no sense. */
  constructor(store: Store, options: { pools?: readonly PoolRange[] | undefined } = {}) {
    this.#store = store
    this.#defaults = new DefaultPools(parseRanges(options.pools ?? DEFAULT_POOLS))
    this.#addresses = new AddressBook(store)
    this.#taken = new TakenPools(store)
  }

  /**
   * Gives a network its subnets, one for each wish, in order. Repeating it for the same network returns what it has. Throws
   * `invalid` for a wish that makes no sense, `forbidden` when a subnet overlaps (naming with what), `conflict` when no default
   * pool is left. A network that is part of the host's own one (`onHostNetwork`) may have a subnet that the host has a route to.
   */
  requestPools(
    network: { readonly id: string; readonly name: string; readonly onHostNetwork?: boolean },
    wishes: readonly PoolWish[],
    routes: readonly HostRoute[],
  ): Pool[] {
    const existing = this.poolsOf(network.id)
    if (existing.length > 0) return existing
    const parsed = parseWishes(wishes)
    return this.#store.transaction(() => {
      const routed = this.#routeBlocks(routes)
      const own: Prefix[] = []
      return parsed.map((wish, position) => {
        const subnet = wish.subnet ?? this.#defaultSubnet(wish, routed)
        const other = this.#overlapping(subnet, own, network.onHostNetwork === true ? undefined : routed)
        if (other) {
          throw forbidden(
            `invalid pool request: Pool overlaps with other one on this address space: ${subnet.cidr} overlaps with ` +
              `${other.cidr} of ${other.who}; choose another --subnet`,
          )
        }
        own.push(subnet)
        this.#taken.add(network.id, subnet)
        return this.#insertPool(network, position, resolvePool(wish, subnet))
      })
    })
  }

  #overlapping(
    subnet: Prefix,
    own: readonly Prefix[],
    routed: Blocks<HostRoute> | undefined,
  ): { cidr: string; who: string } | undefined {
    const mine = own.find((prefix) => overlaps(prefix, subnet))
    if (mine) return { cidr: mine.cidr, who: 'the network itself' }
    const pool = this.#taken.overlapping(subnet)
    if (pool) return { cidr: pool.prefix.cidr, who: `network ${pool.name} (${pool.id.slice(0, 12)})` }
    const route = routed?.overlapping(subnet)
    return route && { cidr: route.prefix.cidr, who: `a route of this host (device ${route.what.device})` }
  }

  /** A network's pools, in the order of the wishes. */
  poolsOf(networkId: string): Pool[] {
    return this.#store
      .all<PoolRow>('SELECT * FROM ipam_pools WHERE network_id = ? ORDER BY position', networkId)
      .map(toPool)
  }

  /** Gives a network's pools back, and every address of them. */
  releasePools(networkId: string): void {
    for (const { cidr } of this.poolsOf(networkId)) {
      this.#addresses.forget(networkId, cidr)
      const prefix = parsePrefix(cidr)
      if (prefix) for (const pools of [this.#defaults, this.#uniqueLocal]) pools?.release(prefix)
    }
    this.#store.run('DELETE FROM ipam_pools WHERE network_id = ?', networkId)
  }

  /**
   * An address of a pool. An owner that has one keeps it. Without a wish it is the one that the owner had before, if that is
   * still free, else the next one that is, so that a just released address rests for a while. Throws `invalid` for an address
   * outside of the pool, `forbidden` when it is in use (naming by whom), `conflict` when the pool is full, `not-found` for an
   * unknown pool.
   */
  requestAddress(request: AddressRequest): string {
    return this.#addresses.request(request)
  }

  /** Gives back all addresses of an owner, or those on one network. */
  releaseOwner(owner: string, networkId?: string): void {
    this.#addresses.releaseOwner(owner, networkId)
  }

  /** The addresses in use on a network, without gateways and auxiliary ones. */
  addressesOf(networkId: string): AddressLease[] {
    return this.#addresses.of(networkId)
  }

  /** Every owner of an address, to find those that are no more. */
  owners(): string[] {
    return this.#addresses.owners()
  }

  #routeBlocks(routes: readonly HostRoute[]): Blocks<HostRoute> {
    const known = this.#routes
    this.#routes = new Map()
    const blocks = routes.flatMap((what) => {
      const { cidr } = what
      const prefix = known.has(cidr) ? known.get(cidr) : parsePrefix(cidr)
      this.#routes.set(cidr, prefix)
      return prefix && prefix.length > 0 ? [{ prefix, what }] : []
    })
    return Blocks.of(blocks)
  }

  #defaultSubnet(wish: ParsedWish, routed: Blocks<HostRoute>): Prefix {
    const pools = this.#defaults.has(wish.v6)
      ? this.#defaults
      : (this.#uniqueLocal ??= new DefaultPools(parseRanges([{ base: this.#uniqueLocalBase(), size: 64 }])))
    const free = pools.firstFree(
      wish.v6,
      (block) => (this.#taken.overlapping(block) ?? routed.overlapping(block))?.prefix,
    )
    if (free) return free
    throw conflict(
      `all predefined address pools have been fully subnetted: no ${wish.v6 ? 'IPv6' : 'IPv4'} pool is left that overlaps ` +
        'neither with a network nor with a route of this host; give --subnet, or add to network.pools in the configuration',
    )
  }

  #uniqueLocalBase(): string {
    const known = this.#store.meta('ipam.ula')
    if (known !== undefined) return known
    const base = uniqueLocalBase(randomBytes(5))
    this.#store.setMeta('ipam.ula', base)
    return base
  }

  #insertPool(network: { id: string; name: string }, position: number, pool: Pool): Pool {
    this.#store.run(
      'INSERT INTO ipam_pools VALUES (?, ?, ?, ?, ?, ?, ?)',
      network.id,
      network.name,
      position,
      pool.cidr,
      pool.gateway,
      pool.ipRange ?? null,
      JSON.stringify(pool.aux),
    )
    this.#addresses.reserve(network.id, pool.cidr, [
      { address: pool.gateway, holder: 'the gateway' },
      ...Object.entries(pool.aux).map(([name, address]) => ({ address, holder: `auxiliary address "${name}"` })),
    ])
    return pool
  }
}

const toPool = (row: PoolRow): Pool => ({
  cidr: row.cidr,
  gateway: row.gateway,
  ...(row.ip_range === null ? {} : { ipRange: row.ip_range }),
  aux: JSON.parse(row.aux) as Record<string, string>,
  v6: row.cidr.includes(':'),
})
