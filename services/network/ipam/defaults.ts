import { invalid } from '../../../shared/errors/index.ts'
import { parsePrefix, prefixAt, type Prefix } from './prefix.ts'
import type { PoolRange } from './types.ts'

/**
 * Where networks without a subnet get one: 3,840 networks of 253 containers in the private ranges that Docker's users already
 * expect, then 16,384 more in the upper quarter of 10.0.0.0/8.
 */
export const DEFAULT_POOLS: readonly PoolRange[] = [
  { base: '172.18.0.0/15', size: 24 },
  { base: '172.20.0.0/14', size: 24 },
  { base: '172.24.0.0/13', size: 24 },
  { base: '192.168.0.0/16', size: 24 },
  { base: '10.192.0.0/10', size: 24 },
]

/** A default pool range, understood. */
export interface ParsedRange {
  readonly base: Prefix
  readonly size: number
}

/** Checks the configured ranges (`network.pools` of the configuration). */
export function parseRanges(ranges: readonly PoolRange[]): ParsedRange[] {
  return ranges.map(({ base, size }) => {
    const prefix = parsePrefix(base)
    if (!prefix) throw invalid(`network.pools: ${base} is not a block of addresses (it should be like 172.20.0.0/14)`)
    const longest = prefix.v6 ? 128 : 32
    if (size < prefix.length || size > longest) {
      throw invalid(`network.pools: size ${size} for ${base} must be from ${prefix.length} to ${longest}`)
    }
    return { base: prefix, size }
  })
}

/** An IPv6 range of this engine's own (RFC 4193): 40 random bits make a clash with another site's unlikely. */
export function uniqueLocalBase(random: Uint8Array): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = random
  const group = (high: number, low: number): string => ((high << 8) | low).toString(16)
  return `${group(0xfd, a)}:${group(b, c)}:${group(d, e)}::/48`
}

/** Finds blocks that are free, the lowest first. */
export class DefaultPools {
  readonly #ranges: readonly ParsedRange[]
  /** Below these addresses of the ranges all was taken, so that nobody has to look there again. */
  readonly #from: bigint[]

  constructor(ranges: readonly ParsedRange[]) {
    this.#ranges = ranges
    this.#from = ranges.map(({ base }) => base.first)
  }

  has(v6: boolean): boolean {
    return this.#ranges.some(({ base }) => base.v6 === v6)
  }

  /** The first block of the ranges that is not taken; undefined when there is none. `taken`: what a block overlaps. */
  firstFree(v6: boolean, taken: (block: Span) => Span | undefined): Prefix | undefined {
    const free = this.#search(v6, taken)
    if (free) return free
    // What kept a block from being used may be gone: a route of the host.
    this.#ranges.forEach(({ base }, i) => (this.#from[i] = base.first))
    return this.#search(v6, taken)
  }

  #search(v6: boolean, taken: (block: Span) => Span | undefined): Prefix | undefined {
    for (const [i, { base, size }] of this.#ranges.entries()) {
      if (base.v6 !== v6) continue
      const step = 1n << BigInt((v6 ? 128 : 32) - size)
      for (let first = this.#from[i] ?? base.first; first <= base.last;) {
        const candidate = { v6, first, last: first + step - 1n }
        const other = taken(candidate)
        this.#from[i] = first
        if (!other) return prefixAt(first, size, v6)
        // Either lies in the other: the next candidate begins where both have ended.
        first = (other.last > candidate.last ? other.last : candidate.last) + 1n
      }
    }
    return undefined
  }

  /** A block may be free again. */
  release({ v6, first }: Span): void {
    for (const [i, { base, size }] of this.#ranges.entries()) {
      const from = this.#from[i] ?? base.first
      if (base.v6 !== v6 || first >= from) continue
      const lowest = prefixAt(first, size, v6).first
      this.#from[i] = lowest < base.first ? base.first : lowest
    }
  }
}

type Span = Pick<Prefix, 'v6' | 'first' | 'last'>
