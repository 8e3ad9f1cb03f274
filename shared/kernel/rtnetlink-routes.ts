import { addressBytes, addressText, familyOf, parsePrefix } from './inet.ts'
import { attribute, NLM_F, type NetlinkRequest, parseAttributes, u32 } from './netlink.ts'

/**
 * rtnetlink messages about addresses and routes (rtnetlink(7), include/uapi/linux/{rtnetlink,if_addr}.h), encoded and decoded.
 * Pure.
 */

const RTM = { NEWADDR: 20, DELADDR: 21, GETADDR: 22, NEWROUTE: 24, DELROUTE: 25 } as const
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const
const IFA_F_NODAD = 0x02
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, TABLE: 15 } as const
const RT_TABLE_MAIN = 254
const RTPROT_BOOT = 3
const RTN_UNICAST = 1
const SCOPE = { UNIVERSE: 0, LINK: 253 } as const

export interface Address {
  readonly linkIndex: number
  /** With prefix length. */
  readonly cidr: string
}

function addressBody(index: number, cidr: string): Buffer {
  const { address, length } = parsePrefix(cidr)
  const header = Buffer.alloc(8)
  header.writeUInt8(familyOf(cidr.split('/')[0] ?? ''), 0)
  header.writeUInt8(length, 1)
  header.writeInt32LE(index, 4)
  const v6 = address.length === 16
  return Buffer.concat([
    header,
    attribute(IFA.LOCAL, address),
    attribute(IFA.ADDRESS, address),
    ...(v6 ? [u32(IFA.FLAGS, IFA_F_NODAD)] : length < 31 ? [attribute(IFA.BROADCAST, broadcast(address, length))] : []),
  ])
}

function broadcast(address: Buffer, length: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE((address.readUInt32BE() | (0xffffffff >>> length)) >>> 0)
  return out
}

/**
 * Puts an address on a link; one that is there already is left. IPv6 addresses skip duplicate detection: they are ours to
 * give, and a second of waiting would be felt.
 */
export const addAddress = (index: number, cidr: string): NetlinkRequest => ({
  type: RTM.NEWADDR,
  flags: NLM_F.CREATE | NLM_F.REPLACE,
  body: addressBody(index, cidr),
  about: `address ${cidr}`,
})

export const deleteAddress = (index: number, cidr: string): NetlinkRequest => ({
  type: RTM.DELADDR,
  flags: 0,
  body: addressBody(index, cidr),
  about: `delete address ${cidr}`,
})

export const getAddresses = (): NetlinkRequest => ({
  type: RTM.GETADDR,
  flags: 0,
  body: Buffer.alloc(8),
  about: 'addresses',
})

export function parseAddress(message: Buffer): Address {
  const attributes = parseAttributes(message.subarray(8))
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS) ?? Buffer.alloc(4)
  return { linkIndex: message.readInt32LE(4), cidr: `${addressText(bytes)}/${message.readUInt8(1)}` }
}

export interface NewRoute {
  /** `10.0.0.0/8`, or a family's default route: `default4`, `default6`. */
  readonly destination: string
  readonly gateway?: string
  readonly linkIndex: number
  readonly metric?: number
}

function routeBody(route: NewRoute): Buffer {
  const isDefault = route.destination.startsWith('default')
  const target = isDefault ? undefined : parsePrefix(route.destination)
  const v6 = isDefault ? route.destination === 'default6' : target?.address.length === 16
  const header = Buffer.alloc(12)
  header.writeUInt8(v6 ? 10 : 2, 0)
  header.writeUInt8(target?.length ?? 0, 1)
  header.writeUInt8(RT_TABLE_MAIN, 4)
  header.writeUInt8(RTPROT_BOOT, 5)
  header.writeUInt8(route.gateway === undefined && !v6 ? SCOPE.LINK : SCOPE.UNIVERSE, 6)
  header.writeUInt8(RTN_UNICAST, 7)
  return Buffer.concat([
    header,
    ...(target ? [attribute(RTA.DST, target.address)] : []),
    ...(route.gateway === undefined ? [] : [attribute(RTA.GATEWAY, addressBytes(route.gateway))]),
    u32(RTA.OIF, route.linkIndex),
    ...(route.metric === undefined ? [] : [u32(RTA.PRIORITY, route.metric)]),
  ])
}

/** Sets a route, in place of one to the same destination. */
export const replaceRoute = (route: NewRoute): NetlinkRequest => ({
  type: RTM.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.REPLACE,
  body: routeBody(route),
  about: `route ${route.destination}${route.gateway === undefined ? '' : ` via ${route.gateway}`}`,
})

export const deleteRoute = (route: NewRoute): NetlinkRequest => ({
  type: RTM.DELROUTE,
  flags: 0,
  body: routeBody(route),
  about: `delete route ${route.destination}`,
})
