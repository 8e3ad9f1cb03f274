import type { Store } from '../../../shared/store/index.ts'
import { type Block, Blocks } from './blocks.ts'
import { parsePrefix, type Prefix } from './prefix.ts'

interface PoolRow {
  network_id: string
  network_name: string
  cidr: string
}

/**
 * Which subnets are networks'. The database is the truth; this only knows where to look. It holds all pools that there are, and maybe
 * some that are no more or whose transaction was rolled back: those are found out when somebody meets them. (So a transaction that
 * gives a pool back must not ask for another one.)
 */
export class TakenPools {
  readonly #store: Store
  #blocks: Blocks<string> | undefined

  constructor(store: Store) {
    this.#store = store
  }

  /** The pool that a block overlaps, with its network's id and name. */
  overlapping(prefix: Pick<Prefix, 'v6' | 'first' | 'last'>): { prefix: Prefix; id: string; name: string } | undefined {
    const blocks = (this.#blocks ??= this.#load())
    for (;;) {
      const found = blocks.overlapping(prefix)
      if (!found) return undefined
      const name = this.#nameOf(found)
      if (name !== undefined) return { prefix: found.prefix, id: found.what, name }
      blocks.remove(found)
    }
  }

  add(networkId: string, prefix: Prefix): void {
    this.#blocks?.add({ prefix, what: networkId })
  }

  #nameOf({ prefix, what }: Block<string>): string | undefined {
    return this.#store.get<PoolRow>('SELECT * FROM ipam_pools WHERE network_id = ? AND cidr = ?', what, prefix.cidr)
      ?.network_name
  }

  #load(): Blocks<string> {
    const rows = this.#store.all<PoolRow>('SELECT * FROM ipam_pools')
    return Blocks.of(
      rows.flatMap((row) => {
        const prefix = parsePrefix(row.cidr)
        return prefix ? [{ prefix, what: row.network_id }] : []
      }),
    )
  }
}
