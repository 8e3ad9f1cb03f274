import { macBytes, macText } from './inet.ts'
import { attribute, nest, NLM_F, type NetlinkRequest, parseAttributes, text, textOf, u16, u32, u8 } from './netlink.ts'

/**
 * rtnetlink messages about links (rtnetlink(7), include/uapi/linux/if_link.h), encoded and decoded. Pure.
 */

const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  GETSTATS: 94,
} as const

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  LINKINFO: 18,
  IFALIAS: 20,
  NET_NS_FD: 28,
} as const
const INFO = { KIND: 1, DATA: 2 } as const
const VETH_INFO_PEER = 1
const BRPORT = { HAIRPIN: 4, ISOLATED: 33 } as const
const AF_BRIDGE = 7
export const IFF_UP = 1

/** A link is named by its index or its name. */
export type LinkRef = number | string

export interface Link {
  readonly index: number
  readonly name: string
  readonly mac: string
  readonly mtu: number
  readonly up: boolean
  /** Index of the bridge it is a port of; 0 for none. */
  readonly master: number
  /** `veth`, `bridge`, `macvlan`, ...; empty for hardware. */
  readonly kind: string
  readonly alias: string
  /** Index of the veth's peer or the macvlan's parent; 0 for none. */
  readonly parent: number
}

export interface LinkChange {
  readonly name?: string
  readonly up?: boolean
  readonly mtu?: number
  readonly mac?: string
  /** Index of a bridge; 0 takes it off. */
  readonly master?: number
  readonly alias?: string
  /** A namespace to move it to. */
  readonly netnsFd?: number
}

/** What a new link is. */
export type LinkKind =
  | { readonly kind: 'bridge' | 'dummy' }
  | { readonly kind: 'veth'; readonly peer: LinkChange & { readonly name: string } }
  | { readonly kind: 'macvlan'; readonly parent: number; readonly mode: MacvlanMode }
  | { readonly kind: 'vlan'; readonly parent: number; readonly id: number }

export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const
export type MacvlanMode = keyof typeof MACVLAN_MODES

const refIndex = (link: LinkRef): number => (typeof link === 'number' ? link : 0)

function linkHeader(index: number, up: boolean | undefined, family = 0): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt8(family, 0)
  header.writeInt32LE(index, 4)
  header.writeUInt32LE(up === true ? IFF_UP : 0, 8)
  header.writeUInt32LE(up === undefined ? 0 : IFF_UP, 12)
  return header
}

const changeAttributes = (change: LinkChange): Buffer[] => [
  ...(change.name === undefined ? [] : [text(IFLA.IFNAME, change.name)]),
  ...(change.mtu === undefined ? [] : [u32(IFLA.MTU, change.mtu)]),
  ...(change.mac === undefined ? [] : [attribute(IFLA.ADDRESS, macBytes(change.mac))]),
  ...(change.master === undefined ? [] : [u32(IFLA.MASTER, change.master)]),
  ...(change.alias === undefined ? [] : [text(IFLA.IFALIAS, change.alias)]),
  ...(change.netnsFd === undefined ? [] : [u32(IFLA.NET_NS_FD, change.netnsFd)]),
]

function kindAttributes(what: LinkKind): Buffer[] {
  const info = (data: Buffer[]): Buffer => nest(IFLA.LINKINFO, [text(INFO.KIND, what.kind), nest(INFO.DATA, data)])
  switch (what.kind) {
    case 'veth': {
      const peer = Buffer.concat([linkHeader(0, what.peer.up), ...changeAttributes(what.peer)])
      return [info([attribute(VETH_INFO_PEER, peer)])]
    }
    case 'macvlan':
      return [u32(IFLA.LINK, what.parent), info([u32(1, MACVLAN_MODES[what.mode])])]
    case 'vlan':
      return [u32(IFLA.LINK, what.parent), info([u16(1, what.id)])]
    default:
      return [nest(IFLA.LINKINFO, [text(INFO.KIND, what.kind)])]
  }
}

/** A new link; `EEXIST` when the name is taken. Alias and bridge-port flags need a change afterwards. */
export const newLink = (link: LinkChange & { readonly name: string }, what: LinkKind): NetlinkRequest => ({
  type: RTM.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([linkHeader(0, link.up), ...changeAttributes(link), ...kindAttributes(what)]),
  about: `new ${what.kind} ${link.name}`,
})

const named = (link: LinkRef): Buffer[] => (typeof link === 'string' ? [text(IFLA.IFNAME, link)] : [])

/** Changes a link. A `name` in the change renames; then the link must be given by index. */
export const setLink = (link: LinkRef, change: LinkChange): NetlinkRequest => ({
  type: RTM.SETLINK,
  flags: 0,
  body: Buffer.concat([linkHeader(refIndex(link), change.up), ...named(link), ...changeAttributes(change)]),
  about: `set link ${link}`,
})

/** What a bridge does with a port's frames (ip link set ... type bridge_slave hairpin on isolated on). */
export interface BridgePortFlags {
  /** They may go back out of the port that they came in by. */
  readonly hairpin?: boolean
  /** They do not go to other isolated ports. */
  readonly isolated?: boolean
}

const flag = (type: number, on: boolean | undefined): Buffer[] => (on === undefined ? [] : [u8(type, on ? 1 : 0)])

export const setBridgePort = (index: number, { hairpin, isolated }: BridgePortFlags): NetlinkRequest => ({
  type: RTM.SETLINK,
  flags: 0,
  body: Buffer.concat([
    linkHeader(index, undefined, AF_BRIDGE),
    nest(IFLA.PROTINFO | 0x8000, [...flag(BRPORT.HAIRPIN, hairpin), ...flag(BRPORT.ISOLATED, isolated)]),
  ]),
  about: `flags of bridge port ${index}`,
})

export const deleteLink = (link: LinkRef): NetlinkRequest => ({
  type: RTM.DELLINK,
  flags: 0,
  body: Buffer.concat([linkHeader(refIndex(link), undefined), ...named(link)]),
  about: `delete link ${link}`,
})

export const getLink = (link: LinkRef): NetlinkRequest => ({
  type: RTM.GETLINK,
  flags: 0,
  body: Buffer.concat([linkHeader(refIndex(link), undefined), ...named(link)]),
  about: `link ${link}`,
})

export const getLinks = (): NetlinkRequest => ({
  type: RTM.GETLINK,
  flags: 0,
  body: linkHeader(0, undefined),
  about: 'links',
})

export function parseLink(message: Buffer): Link {
  const attributes = parseAttributes(message.subarray(16))
  const info = attributes.get(IFLA.LINKINFO)
  const mac = attributes.get(IFLA.ADDRESS)
  return {
    index: message.readInt32LE(4),
    up: (message.readUInt32LE(8) & IFF_UP) !== 0,
    name: textOf(attributes.get(IFLA.IFNAME)),
    mac: mac ? macText(mac) : '',
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE() ?? 0,
    master: attributes.get(IFLA.MASTER)?.readUInt32LE() ?? 0,
    kind: info ? textOf(parseAttributes(info).get(INFO.KIND)) : '',
    alias: textOf(attributes.get(IFLA.IFALIAS)),
    parent: attributes.get(IFLA.LINK)?.readUInt32LE() ?? 0,
  }
}

/** Counters of an interface since it was made. */
export interface LinkCounters {
  readonly rx_bytes: number
  readonly rx_packets: number
  readonly rx_errors: number
  readonly rx_dropped: number
  readonly tx_bytes: number
  readonly tx_packets: number
  readonly tx_errors: number
  readonly tx_dropped: number
}

/** Counters of all links (struct if_stats_msg), without the rest that a link dump carries. */
export function getStats(): NetlinkRequest {
  const body = Buffer.alloc(12)
  body.writeUInt32LE(1, 8) // IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)
  return { type: RTM.GETSTATS, flags: 0, body, about: 'statistics' }
}

export function parseStats(message: Buffer): { index: number; counters: LinkCounters } {
  const values = parseAttributes(message.subarray(12)).get(1)
  // Without BigInts: there are thousands of numbers to read, every second.
  const at = (n: number): number => (values ? values.readUInt32LE(n * 8) + values.readUInt32LE(n * 8 + 4) * 2 ** 32 : 0)
  return {
    index: message.readUInt32LE(4),
    counters: {
      rx_packets: at(0),
      tx_packets: at(1),
      rx_bytes: at(2),
      tx_bytes: at(3),
      rx_errors: at(4),
      tx_errors: at(5),
      rx_dropped: at(6),
      tx_dropped: at(7),
    },
  }
}
