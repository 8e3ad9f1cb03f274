import { isIPv6 } from 'node:net'
import { isUnspecified } from '../../../shared/kernel/inet.ts'
import type { Family, FirewallModel, FirewallNetwork, PublishedPort } from './types.ts'

/**
 * The pure planner: from the model to nft(8) scripts, each of which is one transaction. Rules never change; networks are
 * elements of sets and published ports elements of maps, so that a change costs the same with one as with 5,000 of them and a
 * packet meets the same few rules.
 */

/** An engine's table. Its name always has the product's name in it, and the engine's, so that several live side by side. */
export const tableName = (engine: string): string => (engine === 'gantry' ? engine : `gantry-${engine}`)

/** Sets (of interfaces, by name, and of families) and maps (by protocol and port) of the table, and what their keys and values are. */
const SETS = {
  bridges: 'type ifname',
  internal: 'type ifname',
  masqueraded: 'type nf_proto . ifname',
  routed: 'type nf_proto . ifname',
  unprotected: 'type nf_proto . ifname',
  icc: 'type ifname . ifname',
  apart: 'type ifname . ifname',
  open4: 'type ipv4_addr . inet_proto . inet_service',
  open6: 'type ipv6_addr . inet_proto . inet_service',
  closed: 'type nf_proto',
} as const
const MAPS = {
  publish4: 'type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
  publish4_any: 'type inet_proto . inet_service : ipv4_addr . inet_service',
  publish6: 'type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service',
  publish6_any: 'type inet_proto . inet_service : ipv6_addr . inet_service',
} as const
type Holder = keyof typeof SETS | keyof typeof MAPS

/** Chains and rules: the same for every engine. */
const CHAINS = `
	# Published ports. A port on one address goes before the same port on every address.
	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @publish4
		dnat ip to meta l4proto . th dport map @publish4_any
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @publish6
		dnat ip6 to meta l4proto . th dport map @publish6_any
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local goto publish
	}
	chain output {
		type nat hook output priority -100; policy accept;
		# The kernel takes no answer for ::1 from a bridge: TCP is relayed, the rest refused at once, so that a client tries 127.0.0.1.
		ip6 daddr ::1 return
		fib daddr type local goto publish
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges goto published
		meta nfproto . iifname @masqueraded masquerade
	}
	# To a container through a published port, from another container or from this host (loopback too): the answer must come
	# back the same way, so the bridge's address stands in for the sender's. No input interface: sent by this host, or bridged
	# (br_netfilter). Who comes from outside keeps its address.
	chain published {
		ct status dnat iif 0 masquerade
		ct status dnat iifname @bridges masquerade
	}

	# Bridges route 127.0.0.0/8 (route_localnet), so that the host's loopback reaches published ports: nobody else may use that.
	chain loopback {
		type filter hook prerouting priority raw; policy accept;
		iifname "lo" accept
		ip daddr 127.0.0.0/8 drop
		ip saddr 127.0.0.0/8 drop
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname @bridges goto inwards
		iifname @internal drop
		meta nfproto @closed goto router
	}
	# Where this host forwards only because we made it: it is no router between its uplinks. Those are devices without a kind
	# (hardware: a match on the kind fails, and the next rule is tried) and the kinds below. Bridges, veths, tunnels and taps
	# belong to other engines, virtual machines and VPNs, whose traffic is theirs to judge.
	chain router {
		meta iifkind != { "bond", "hv_netvsc", "team", "vlan" } return
		meta oifkind != { "bond", "hv_netvsc", "team", "vlan" } return
		drop
	}
	# Into a bridge come answers, its own containers where they may talk to each other, and published ports; those of routed networks
	# by the containers' own addresses, as everything from outside where a network is unprotected.
	chain inwards {
		ct state established,related accept
		iifname . oifname @icc accept
		iifname @internal drop
		oifname @internal drop
		ct status dnat accept
		iifname . oifname @apart drop
		ip daddr . meta l4proto . th dport @open4 accept
		ip6 daddr . meta l4proto . th dport @open6 accept
		meta nfproto . oifname @routed meta l4proto { icmp, icmpv6 } accept
		iifname != @bridges meta nfproto . oifname @unprotected accept
		drop
	}
`

type Elements = Map<Holder, string[]>

function put(elements: Elements, holder: Holder, element: string): void {
  const list = elements.get(holder)
  if (list) list.push(element)
  else elements.set(holder, [element])
}

function networkElements(network: FirewallNetwork, into: Elements): void {
  const name = `"${network.bridge}"`
  put(into, 'bridges', name)
  put(into, network.icc ? 'icc' : 'apart', `${name} . ${name}`)
  if (network.internal) return put(into, 'internal', name)
  for (const family of network.masquerade) put(into, 'masqueraded', `${family} . ${name}`)
  for (const family of network.routed) put(into, 'routed', `${family} . ${name}`)
  for (const family of network.unprotected) put(into, 'unprotected', `${family} . ${name}`)
}

function portElement(port: PublishedPort, withValue: boolean, into: Elements): void {
  const v6 = isIPv6(port.address)
  const target = withValue ? ` : ${port.address} . ${port.containerPort}` : ''
  const key = `${port.protocol} . ${port.hostPort}`
  if (port.hostIp === port.address) put(into, v6 ? 'open6' : 'open4', `${port.hostIp} . ${key}`)
  else if (isUnspecified(port.hostIp)) put(into, v6 ? 'publish6_any' : 'publish4_any', key + target)
  else put(into, v6 ? 'publish6' : 'publish4', `${port.hostIp} . ${key}${target}`)
}

const command = (verb: 'add' | 'delete', table: string, elements: Elements): string =>
  [...elements].map(([holder, list]) => `${verb} element inet ${table} ${holder} { ${list.join(', ')} }\n`).join('')

/** The whole table, replacing what is there. */
export function planTable(table: string, model: FirewallModel, closed: readonly Family[] = []): string {
  const elements: Elements = new Map()
  for (const family of closed) put(elements, 'closed', family)
  for (const network of model.networks) networkElements(network, elements)
  for (const ports of model.ports.values()) for (const port of ports) portElement(port, true, elements)
  const declare = (kind: string, holders: Readonly<Partial<Record<Holder, string>>>): string =>
    (Object.entries(holders) as [Holder, string][])
      .map(([holder, type]) => {
        const list = elements.get(holder)
        const body = list
          ? `\t\t${type};\n\t\telements = {\n\t\t\t${list.join(',\n\t\t\t')}\n\t\t}\n`
          : `\t\t${type};\n`
        return `\t${kind} ${holder} {\n${body}\t}\n`
      })
      .join('')
  // Adding it first makes the deletion succeed where there is none.
  return `table inet ${table}\ndelete table inet ${table}\ntable inet ${table} {\n${declare('set', SETS)}${declare('map', MAPS)}${CHAINS}}\n`
}

/** Makes the host no router between its uplinks for these families; those that it is none for already are no error. */
export const planClosed = (table: string, families: readonly Family[]): string =>
  command('add', table, new Map(families.length > 0 ? [['closed', [...families]]] : []))

/** Changes one network; `before` or `after` is undefined when it is new or goes away. */
export function planNetwork(
  table: string,
  before: FirewallNetwork | undefined,
  after: FirewallNetwork | undefined,
): string {
  const gone: Elements = new Map()
  const come: Elements = new Map()
  if (before) networkElements(before, gone)
  if (after) networkElements(after, come)
  return command('delete', table, gone) + command('add', table, come)
}

const same = (a: PublishedPort, b: PublishedPort): boolean =>
  a.protocol === b.protocol &&
  a.hostIp === b.hostIp &&
  a.hostPort === b.hostPort &&
  a.address === b.address &&
  a.containerPort === b.containerPort

/** What names a port on this host: no two have it. */
const keyed = (port: PublishedPort): string =>
  `${port.protocol} ${port.hostIp} ${port.hostPort} ${isIPv6(port.address)}`

/** Ports of `before` that are no more, or lead elsewhere `after`. */
export function portsGone(before: readonly PublishedPort[], after: readonly PublishedPort[]): PublishedPort[] {
  const now = new Map(after.map((port) => [keyed(port), port]))
  return before.filter((port) => {
    const next = now.get(keyed(port))
    return !next || !same(port, next)
  })
}

/** Changes an owner's published ports from `before` to `after`; what is in both stays. Empty when nothing changes. */
export function planPorts(table: string, before: readonly PublishedPort[], after: readonly PublishedPort[]): string {
  const gone: Elements = new Map()
  const come: Elements = new Map()
  for (const port of portsGone(before, after)) portElement(port, false, gone)
  for (const port of portsGone(after, before)) portElement(port, true, come)
  return command('delete', table, gone) + command('add', table, come)
}
