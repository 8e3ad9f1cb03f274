import type { Prefix } from './prefix.ts'

/** A block of addresses and what it is there for. */
export interface Block<T> {
  readonly prefix: Prefix
  readonly what: T
}

/**
 * Blocks of addresses none of which overlaps another, sorted by family and address: what overlaps a further one is found by a binary
 * search.
 */
export class Blocks<T> {
  readonly #v4: Block<T>[] = []
  readonly #v6: Block<T>[] = []

  /** Of blocks that overlap (one lies in the other, then) the larger one stands for both. */
  static of<T>(blocks: readonly Block<T>[]): Blocks<T> {
    const made = new Blocks<T>()
    const sorted = blocks.toSorted(({ prefix: a }, { prefix: b }) =>
      a.first === b.first ? a.length - b.length : a.first < b.first ? -1 : 1,
    )
    for (const block of sorted) {
      const list = made.#list(block.prefix.v6)
      const before = list.at(-1)
      if (!before || before.prefix.last < block.prefix.first) list.push(block)
    }
    return made
  }

  #list(v6: boolean): Block<T>[] {
    return v6 ? this.#v6 : this.#v4
  }

  overlapping({ v6, first, last }: Pick<Prefix, 'v6' | 'first' | 'last'>): Block<T> | undefined {
    const block = this.#list(v6)[after(this.#list(v6), last) - 1]
    return block && block.prefix.last >= first ? block : undefined
  }

  /** The caller has seen that it overlaps none. */
  add(block: Block<T>): void {
    const list = this.#list(block.prefix.v6)
    list.splice(after(list, block.prefix.first), 0, block)
  }

  remove({ prefix }: Block<T>): void {
    const list = this.#list(prefix.v6)
    const at = after(list, prefix.first) - 1
    if (list[at]?.prefix.cidr === prefix.cidr) list.splice(at, 1)
  }
}

/** Index of the first block that begins after an address. */
function after(list: readonly Block<unknown>[], address: bigint): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const block = list[middle]
    if (block && block.prefix.first <= address) low = middle + 1
    else high = middle
  }
  return low
}
