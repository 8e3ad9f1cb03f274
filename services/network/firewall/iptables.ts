/**
 * Living beside iptables (iptables-nft). A packet must be accepted by every table, and Docker and ufw make DROP the policy of
 * iptables' FORWARD chain: containers would then reach neither the outside nor, where br_netfilter is on, each other. As those two
 * do for themselves, a chain of our own in iptables' table accepts what goes from or to our bridges, once our own table let it
 * pass. It is written so that iptables still understands its table.
 */

export const FORWARD = 'FORWARD'
export const FAMILIES = ['ip', 'ip6'] as const
export type Family = (typeof FAMILIES)[number]

/** The chain's name in iptables' table. */
export const acceptChain = (table: string): string => table.toUpperCase()

/** What `nft list chain` says of FORWARD. */
export interface ForwardChain {
  readonly drops: boolean
  /** Our chain is called from it. */
  readonly jumps: boolean
}

export const readForward = (listing: string, chain: string): ForwardChain => ({
  drops: /hook forward [^;]*; policy drop;/.test(listing),
  jumps: new RegExp(`jump ${chain}$`, 'm').test(listing),
})

/** Makes our chain accept these bridges; empty when there is nothing to do. */
export function planAccept(family: Family, chain: string, forward: ForwardChain, bridges: readonly string[]): string {
  if (!forward.jumps && (!forward.drops || bridges.length === 0)) return ''
  const rules = bridges.flatMap((bridge) => [`iifname "${bridge}"`, `oifname "${bridge}"`])
  return [
    `add chain ${family} filter ${chain}`,
    `flush chain ${family} filter ${chain}`,
    ...rules.map((match) => `add rule ${family} filter ${chain} ${match} counter accept`),
    ...(forward.jumps ? [] : [`insert rule ${family} filter ${FORWARD} counter jump ${chain}`]),
    '',
  ].join('\n')
}
