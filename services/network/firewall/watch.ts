import { type NetlinkGroup, openNetlinkGroup } from '../../../shared/kernel/netlink-group.ts'
import { NetlinkSocket, parseAttributes, textOf } from '../../../shared/kernel/netlink.ts'

/**
 * Notices what others do to the firewall: the kernel tells of every nftables change in multicast group NFNLGRP_NFTABLES, and after
 * each transaction who made it (include/uapi/linux/netfilter/nf_tables.h).
 */

const NETLINK_NETFILTER = 12
const NFNLGRP_NFTABLES = 7
const NFNL_SUBSYS_NFTABLES = 10
const NFPROTO_INET = 1
const NFPROTO_IPV4 = 2
const NFPROTO_IPV6 = 10
const NLMSG_HEADER = 16
const NFGEN_HEADER = 4
/** NFT_MSG_*: changes of chains and rules, what ends a transaction, and the question for the generation. */
const [NEWCHAIN, DELCHAIN, NEWRULE, DELRULE] = [3, 5, 6, 8]
const NEWGEN = 15
const GETGEN = 16
/** The table's name in every message about something in a table (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, ...). */
const TABLE_NAME = 1
/** The chain's name: NFTA_RULE_CHAIN in messages of rules, NFTA_CHAIN_NAME in those of chains. */
const RULE_CHAIN = 2
const CHAIN_NAME = 3
const GEN_ID = 1
const GEN_PROC_PID = 2
/** iptables' table of that name, in families ip and ip6. */
const FILTER_TABLE = 'filter'
const RECEIVE_BUFFER = 4 * 1024 * 1024

export interface Generation {
  /** Grows by one with each transaction of anybody in this network namespace. */
  readonly id: number
  /** This thread's id as nf_tables tells it: that of the first pid namespace. */
  readonly ownPid: number
}

export function readGeneration(): Generation {
  const socket = new NetlinkSocket(NETLINK_NETFILTER)
  try {
    const body = Buffer.alloc(NFGEN_HEADER)
    const [reply] = socket.request([
      { type: (NFNL_SUBSYS_NFTABLES << 8) | GETGEN, flags: 0, body, about: 'nftables generation' },
    ])
    const message = reply?.[0] ?? Buffer.alloc(NFGEN_HEADER)
    return { id: numberIn(message, GEN_ID) ?? 0, ownPid: numberIn(message, GEN_PROC_PID) ?? process.pid }
  } finally {
    socket.close()
  }
}

const numberIn = (message: Buffer, type: number): number | undefined =>
  parseAttributes(message.subarray(NFGEN_HEADER)).get(type)?.readUInt32BE(0)

const nameIn = (message: Buffer, type: number): string =>
  textOf(parseAttributes(message.subarray(NFGEN_HEADER)).get(type))

export interface WatchEvents {
  /** Another process changed the table: took something away, or added something. */
  damaged(): void
  /** Another process changed one of the watched chains of iptables' filter table: its policy or its rules. */
  filterChanged(): void
  /** The kernel told more than the socket could hold: the table may or may not be damaged. */
  missed(): void
}

/** Watches one `inet` table, and chains of iptables' filter tables, in the network namespace in which it is made. */
export class FirewallWatch {
  readonly #table: string
  readonly #filterChains: ReadonlySet<string>
  readonly #events: WatchEvents
  readonly #pid: number
  #group: NetlinkGroup | undefined
  #touched = false
  #filterTouched = false

  constructor(table: string, filterChains: readonly string[], events: WatchEvents) {
    this.#table = table
    this.#filterChains = new Set(filterChains)
    this.#events = events
    this.#pid = readGeneration().ownPid
    this.#open()
  }

  #open(): void {
    this.#touched = false
    this.#filterTouched = false
    this.#group = openNetlinkGroup(
      NETLINK_NETFILTER,
      NFNLGRP_NFTABLES,
      RECEIVE_BUFFER,
      (messages) => this.#read(messages),
      () => this.#reopen(),
    )
  }

  #reopen(): void {
    this.#open()
    this.#events.missed()
  }

  #read(data: Buffer): void {
    for (let at = 0; at + NLMSG_HEADER + NFGEN_HEADER <= data.length;) {
      const length = data.readUInt32LE(at)
      if (length < NLMSG_HEADER + NFGEN_HEADER) return
      const type = data.readUInt16LE(at + 4)
      if (type >> 8 === NFNL_SUBSYS_NFTABLES) this.#heed(type & 0xff, data.subarray(at + NLMSG_HEADER, at + length))
      at += (length + 3) & ~3
    }
  }

  #heed(type: number, message: Buffer): void {
    const family = message[0]
    if (type === NEWGEN) {
      const byOther = numberIn(message, GEN_PROC_PID) !== this.#pid
      const [damaged, filterChanged] = [this.#touched && byOther, this.#filterTouched && byOther]
      this.#touched = false
      this.#filterTouched = false
      if (damaged) this.#events.damaged()
      if (filterChanged) this.#events.filterChanged()
    } else if (family === NFPROTO_INET) {
      if (!this.#touched) this.#touched = nameIn(message, TABLE_NAME) === this.#table
    } else if (family === NFPROTO_IPV4 || family === NFPROTO_IPV6) {
      const ofRule = type === NEWRULE || type === DELRULE
      if (!ofRule && type !== NEWCHAIN && type !== DELCHAIN) return
      if (this.#filterTouched || nameIn(message, TABLE_NAME) !== FILTER_TABLE) return
      this.#filterTouched = this.#filterChains.has(nameIn(message, ofRule ? RULE_CHAIN : CHAIN_NAME))
    }
  }

  close(): void {
    this.#group?.close()
    this.#group = undefined
  }
}
