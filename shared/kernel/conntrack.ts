import { isCode, SystemError } from './libc.ts'
import { attribute, NetlinkSocket, type NetlinkRequest, parseAttributes, u32, u8 } from './netlink.ts'

/**
 * The connection tracking table, of the network namespace in which the class is made. What is in it passes by new DNAT rules,
 * so a UDP client that keeps its port keeps its old target. Layout: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
 */

const NETLINK_NETFILTER = 12
const NFNL_SUBSYS_CTNETLINK = 1
const [CT_GET, CT_DELETE] = [1, 2]
const NFGEN_HEADER = 4
const CTA = {
  TUPLE_ORIG: 1,
  FILTER: 25,
  TUPLE_PROTO: 2,
  PROTO_NUM: 1,
  PROTO_DST_PORT: 3,
  FILTER_ORIG_FLAGS: 1,
} as const
/** Compare the protocol number only (CTA_FILTER_F_CTA_PROTO_NUM). Kernels before 5.8 ignore it and tell everything. */
const FILTER_PROTOCOL = 1 << 3
const IPPROTO_UDP = 17
const FAMILY = { ipv4: 2, ipv6: 10 } as const
const EMPTY = Buffer.alloc(0)

/** Nested attributes, marked as such: the filter is refused without the mark. */
const nest = (type: number, ...attributes: Buffer[]): Buffer => attribute(type | 0x8000, Buffer.concat(attributes))

const message = (type: number, family: number, attributes: readonly Buffer[], about: string): NetlinkRequest => ({
  type: (NFNL_SUBSYS_CTNETLINK << 8) | type,
  flags: 0,
  body: Buffer.concat([Buffer.of(family, 0, 0, 0), ...attributes]),
  about,
})

/**
 * Forgets the UDP flows that were sent to one of these ports; returns how many. It goes through the whole table: some 4 ms where the
 * kernel made a large one.
 */
export function forgetUdpFlows(family: keyof typeof FAMILY, ports: ReadonlySet<number>): number {
  const socket = new NetlinkSocket(NETLINK_NETFILTER)
  try {
    const udp = nest(CTA.TUPLE_ORIG, nest(CTA.TUPLE_PROTO, u8(CTA.PROTO_NUM, IPPROTO_UDP)))
    const filter = nest(CTA.FILTER, u32(CTA.FILTER_ORIG_FLAGS, FILTER_PROTOCOL))
    const flows = socket.dump(message(CT_GET, FAMILY[family], [udp, filter], 'list flows'))
    const deletions = flows.flatMap((flow) => {
      const original = parseAttributes(flow.subarray(NFGEN_HEADER)).get(CTA.TUPLE_ORIG)
      const protocol = parseAttributes(parseAttributes(original ?? EMPTY).get(CTA.TUPLE_PROTO) ?? EMPTY)
      const port = protocol.get(CTA.PROTO_DST_PORT)?.readUInt16BE(0) ?? 0
      if (!original || protocol.get(CTA.PROTO_NUM)?.[0] !== IPPROTO_UDP || !ports.has(port)) return []
      return [message(CT_DELETE, flow[0] ?? 0, [nest(CTA.TUPLE_ORIG, original)], 'forget flow')]
    })
    for (const outcome of deletions.length > 0 ? socket.exchange(deletions) : []) {
      // It may have ended by itself.
      if (outcome instanceof SystemError && !isCode(outcome, 'ENOENT')) throw outcome
    }
    return deletions.length
  } finally {
    socket.close()
  }
}
