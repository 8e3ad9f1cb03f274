import type { FirewallNetwork } from './types.ts'

/**
 * Living beside iptables (iptables-nft). A packet must be accepted by every table, and where iptables' FORWARD chain drops by its
 * policy (Docker, ufw) or rejects by its last rule (Red Hat's default), containers would reach neither the outside nor, where
 * br_netfilter is on, each other. As Docker does for itself, a chain of our own in iptables' table accepts what goes from or to our
 * bridges, once our own table let it pass. Its rules name one bridge each, in the form that every version of iptables understands: a
 * mark in their place is read as "accept all" by older ones, and `iptables-save | iptables-restore` would make that true.
 */

export const FORWARD = 'FORWARD'
const FAMILIES = ['ip', 'ip6'] as const
type Family = (typeof FAMILIES)[number]

/** The chain's name in iptables' table. */
export const acceptChain = (table: string): string => table.toUpperCase()

/** What `nft -a list chain` says of FORWARD. */
export interface ForwardChain {
  /** A packet may end in it: by its policy, or by a rule. */
  readonly drops: boolean
  /** Our chain is called from it. */
  readonly jumps: boolean
}

/** A rule that does not end with `accept` may drop, or lead to a chain that does: those are not followed. */
export function readForward(listing: string, chain: string): ForwardChain {
  const lines = listing.split('\n').map((line) => line.replace(/ # handle \d+$/, '').trim())
  const rules = lines.filter((line) => !/^$|^#|^type |^}|\{$/.test(line))
  const others = rules.filter((rule) => !rule.endsWith(`jump ${chain}`))
  return {
    drops: /hook forward [^;]*; policy drop;/.test(listing) || others.some((rule) => !rule.endsWith('accept')),
    jumps: others.length < rules.length,
  }
}

/** Rules of our chain by their handles, from `nft -a list chain`; '' stands for one that is not ours. */
export function readAccepts(listing: string): Map<number, string> {
  const rules = new Map<number, string>()
  for (const [, rule = '', handle] of listing.matchAll(/^\t\t(.*) # handle (\d+)$/gm)) {
    rules.set(Number(handle), /^([io]ifname "[^"]+") counter packets \d+ bytes \d+ accept$/.exec(rule)?.[1] ?? '')
  }
  return rules
}

/**
 * Makes our chain accept these bridges and nothing else, changing only what differs; empty when there is nothing to do. `accepts` is
 * undefined when there is no such chain.
 */
export function planAccept(
  family: Family,
  chain: string,
  forward: ForwardChain,
  accepts: ReadonlyMap<number, string> | undefined,
  bridges: readonly string[],
): string {
  if (!forward.jumps && (!forward.drops || bridges.length === 0)) return ''
  const missing = new Set(bridges.flatMap((bridge) => [`iifname "${bridge}"`, `oifname "${bridge}"`]))
  const wrong = [...(accepts ?? [])].filter(([, match]) => !missing.delete(match))
  const script = [
    ...(accepts ? [] : [`add chain ${family} filter ${chain}`]),
    ...wrong.map(([handle]) => `delete rule ${family} filter ${chain} handle ${handle}`),
    ...[...missing].map((match) => `add rule ${family} filter ${chain} ${match} counter accept`),
    ...(forward.jumps ? [] : [`insert rule ${family} filter ${FORWARD} counter jump ${chain}`]),
  ]
  return script.map((line) => `${line}\n`).join('')
}

/** iptables' filter tables of both families, as the firewall sees them. */
export class IptablesForward {
  readonly #chain: string
  readonly #run: (script: string) => string
  /** undefined: what the script names is not there. */
  readonly #list: (command: string) => string | undefined
  #asked = false

  constructor(table: string, nft: { run: (script: string) => string; list: (command: string) => string | undefined }) {
    this.#chain = acceptChain(table)
    this.#run = nft.run
    this.#list = nft.list
  }

  /** It may drop our packets, so that it has to be told of each network that comes or goes. As `allow` saw it. */
  get asked(): boolean {
    return this.#asked
  }

  /** Sees whether iptables lets packets of these networks pass, and makes it. */
  allow(networks: Iterable<FirewallNetwork>): void {
    const bridges = [...networks].map((network) => network.bridge)
    this.#asked = false
    for (const family of FAMILIES) {
      const listing = this.#list(`list chain ${family} filter ${FORWARD}`)
      if (listing === undefined) continue
      const forward = readForward(listing, this.#chain)
      if (!forward.drops && !forward.jumps) continue
      this.#asked = true
      const accepts = this.#list(`list chain ${family} filter ${this.#chain}`)
      const script = planAccept(
        family,
        this.#chain,
        forward,
        accepts === undefined ? accepts : readAccepts(accepts),
        bridges,
      )
      if (script !== '') this.#run(script)
    }
  }
}
