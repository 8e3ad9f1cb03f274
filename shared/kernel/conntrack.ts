import { addressBytes, addressText } from './inet.ts'
import { isCode, SystemError } from './libc.ts'
import { attribute, NetlinkSocket, type NetlinkRequest, parseAttributes, u32, u8 } from './netlink.ts'

/**
 * The connection tracking table of the calling thread's network namespace. What is in it passes by new DNAT rules. Layout:
 * include/uapi/linux/netfilter/nfnetlink_conntrack.h.
 */

const NETLINK_NETFILTER = 12
const NFNL_SUBSYS_CTNETLINK = 1
const [CT_GET, CT_DELETE] = [1, 2]
const NFGEN_HEADER = 4
const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  ZONE: 18,
  FILTER: 25,
  TUPLE_IP: 1,
  TUPLE_PROTO: 2,
  PROTO_NUM: 1,
  PROTO_SRC_PORT: 2,
  PROTO_DST_PORT: 3,
  FILTER_ORIG_FLAGS: 1,
  FILTER_REPLY_FLAGS: 2,
} as const
/** CTA_IP_V4_SRC, ...; those of IPv6 are two more. */
const [IP_SRC, IP_DST, IPV6] = [1, 2, 2]
/** CTA_FILTER_F_*: what of the tuple is compared. Kernels before 5.8 ignore it and tell everything. */
const [FILTER_IP_SRC, FILTER_PROTOCOL] = [1, 1 << 3]
const FAMILY = { ipv4: 2, ipv6: 10 } as const
export type FlowFamily = keyof typeof FAMILY
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const
export type FlowProtocol = keyof typeof PROTOCOLS
const NAMES = new Map<number, FlowProtocol>(Object.entries(PROTOCOLS).map(([name, n]) => [n, name as FlowProtocol]))
/** Deletions in one message to the kernel: their answers have to find room in the socket. */
const BATCH = 64
const EMPTY = Buffer.alloc(0)

/** One flow: whom its sender meant, and who answers (another, when there was a DNAT rule). */
export interface Flow {
  readonly protocol: FlowProtocol
  readonly to: { readonly address: string; readonly port: number }
  readonly answers: { readonly address: string; readonly port: number }
}

/** Which flows the kernel is to tell. */
export type FlowFilter = { readonly protocol: FlowProtocol } | { readonly answers: string }

/** Nested attributes, marked as such: the filter is refused without the mark. */
const nest = (type: number, ...attributes: Buffer[]): Buffer => attribute(type | 0x8000, Buffer.concat(attributes))

const message = (type: number, family: number, attributes: readonly Buffer[], about: string): NetlinkRequest => ({
  type: (NFNL_SUBSYS_CTNETLINK << 8) | type,
  flags: 0,
  body: Buffer.concat([Buffer.of(family, 0, 0, 0), ...attributes]),
  about,
})

function filterAttributes(family: FlowFamily, filter: FlowFilter): Buffer[] {
  if ('protocol' in filter) {
    return [
      nest(CTA.TUPLE_ORIG, nest(CTA.TUPLE_PROTO, u8(CTA.PROTO_NUM, PROTOCOLS[filter.protocol]))),
      nest(CTA.FILTER, u32(CTA.FILTER_ORIG_FLAGS, FILTER_PROTOCOL)),
    ]
  }
  const source = attribute(family === 'ipv6' ? IP_SRC + IPV6 : IP_SRC, addressBytes(filter.answers))
  return [
    nest(CTA.TUPLE_REPLY, nest(CTA.TUPLE_IP, source)),
    nest(CTA.FILTER, u32(CTA.FILTER_ORIG_FLAGS, 0), u32(CTA.FILTER_REPLY_FLAGS, FILTER_IP_SRC)),
  ]
}

function parseFlow(family: FlowFamily, attributes: ReadonlyMap<number, Buffer>): Flow | undefined {
  const end = (tuple: number, address: number, port: number): Flow['to'] & { protocol: number } => {
    const parts = parseAttributes(attributes.get(tuple) ?? EMPTY)
    const ip = parseAttributes(parts.get(CTA.TUPLE_IP) ?? EMPTY).get(family === 'ipv6' ? address + IPV6 : address)
    const proto = parseAttributes(parts.get(CTA.TUPLE_PROTO) ?? EMPTY)
    return {
      address: ip ? addressText(ip) : '',
      port: proto.get(port)?.readUInt16BE(0) ?? 0,
      protocol: proto.get(CTA.PROTO_NUM)?.[0] ?? 0,
    }
  }
  const { protocol, ...to } = end(CTA.TUPLE_ORIG, IP_DST, CTA.PROTO_DST_PORT)
  const { protocol: _, ...answers } = end(CTA.TUPLE_REPLY, IP_SRC, CTA.PROTO_SRC_PORT)
  const name = NAMES.get(protocol)
  return name && { protocol: name, to, answers }
}

/**
 * Forgets the flows that the filter lets the kernel tell and `match` chooses; returns how many. The kernel goes through its whole
 * table, some 10 ms where it made a large one: on a thread of the pool. `match` decides at the last moment.
 */
export async function forgetFlows(
  family: FlowFamily,
  filter: FlowFilter,
  match: (flow: Flow) => boolean,
): Promise<number> {
  const socket = new NetlinkSocket(NETLINK_NETFILTER)
  try {
    const list = message(CT_GET, FAMILY[family], filterAttributes(family, filter), 'list flows')
    const told = await socket.dumpOnWorker(list)
    const deletions = told.flatMap((body) => {
      const attributes = parseAttributes(body.subarray(NFGEN_HEADER))
      const flow = parseFlow(family, attributes)
      return flow && match(flow) ? [message(CT_DELETE, FAMILY[family], keyOf(attributes), 'forget flow')] : []
    })
    for (let at = 0; at < deletions.length; at += BATCH) {
      for (const outcome of socket.exchange(deletions.slice(at, at + BATCH))) {
        // It may have ended by itself.
        if (outcome instanceof SystemError && !isCode(outcome, 'ENOENT')) throw outcome
      }
    }
    return deletions.length
  } finally {
    socket.close()
  }
}

/** What a flow is found by. */
function keyOf(attributes: ReadonlyMap<number, Buffer>): Buffer[] {
  const zone = attributes.get(CTA.ZONE)
  return [nest(CTA.TUPLE_ORIG, attributes.get(CTA.TUPLE_ORIG) ?? EMPTY), ...(zone ? [attribute(CTA.ZONE, zone)] : [])]
}
