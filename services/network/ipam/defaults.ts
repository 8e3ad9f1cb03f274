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

/** The first block of the ranges that overlaps none of `taken`; undefined when there is none. */
export function firstFree(ranges: readonly ParsedRange[], v6: boolean, taken: readonly Prefix[]): Prefix | undefined {
  const sorted = taken.filter((prefix) => prefix.v6 === v6).sort((a, b) => (a.first < b.first ? -1 : 1))
  for (const { base, size } of ranges) {
    if (base.v6 !== v6) continue
    const free = firstFreeIn(base, size, sorted)
    if (free) return free
  }
  return undefined
}

function firstFreeIn(base: Prefix, size: number, sorted: readonly Prefix[]): Prefix | undefined {
  let candidate = prefixAt(base.first, size, base.v6)
  for (const block of sorted) {
    if (block.last < candidate.first) continue
    if (block.first > candidate.last) break
    // Go on with the first candidate that begins after the block.
    candidate = prefixAt((block.last > candidate.last ? block.last : candidate.last) + 1n, size, base.v6)
    if (candidate.first <= block.last) candidate = prefixAt(candidate.last + 1n, size, base.v6)
  }
  return candidate.first >= base.first && candidate.last <= base.last ? candidate : undefined
}
