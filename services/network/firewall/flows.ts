import { isIPv6 } from 'node:net'
import { type Flow, type FlowFamily, type FlowFilter, forgetFlows } from '../../../shared/kernel/conntrack.ts'
import { canonicalAddress, isUnspecified } from '../../../shared/kernel/inet.ts'
import { RtNetlink } from '../../../shared/kernel/rtnetlink.ts'
import type { Logger } from '../../../shared/log/index.ts'
import type { PublishedPort } from './types.ts'

/**
 * Flows that go on where the rules lead no more. A UDP client that keeps its port would stay with the former container, or with this
 * host; an established connection would send into the void, for a quarter of an hour, where it is to be refused at once.
 */

const leadsTo = ({ answers }: Flow, port: PublishedPort): boolean =>
  answers.address === port.address && answers.port === port.containerPort

/** Published ports by their number, with addresses as the kernel's are told. */
export type PortIndex = ReadonlyMap<number, readonly PublishedPort[]>

export const indexPorts = (ports: Iterable<PublishedPort>): PortIndex =>
  Map.groupBy(
    [...ports].map((port) => ({
      ...port,
      hostIp: canonicalAddress(port.hostIp),
      address: canonicalAddress(port.address),
    })),
    (port) => port.hostPort,
  )

/** The published port that a flow was sent to. `isLocal` says which addresses are this host's own. */
function portOf(flow: Flow, published: PortIndex, isLocal: (address: string) => boolean): PublishedPort | undefined {
  const of = published.get(flow.to.port)?.filter((port) => port.protocol === flow.protocol) ?? []
  const v6 = isIPv6(flow.to.address)
  return (
    of.find((port) => port.hostIp === flow.to.address) ??
    of.find((port) => isUnspecified(port.hostIp) && isIPv6(port.address) === v6 && isLocal(flow.to.address))
  )
}

/**
 * Whether a flow is to be forgotten: it leads to a port that is no more, or it is a UDP flow to a published port that leads
 * elsewhere. One to another machine's port of that number is not meant.
 */
export function isStray(
  flow: Flow,
  gone: PortIndex,
  published: PortIndex,
  isLocal: (address: string) => boolean,
): boolean {
  const port = portOf(flow, published, isLocal)
  if (port && leadsTo(flow, port)) return false
  if (port && flow.protocol === 'udp') return true
  return gone.get(flow.to.port)?.some((g) => g.protocol === flow.protocol && leadsTo(flow, g)) ?? false
}

/** Addresses of this host: those of its interfaces, and 127.0.0.0/8. */
function localAddresses(): (address: string) => boolean {
  const link = new RtNetlink()
  try {
    const own = new Set(link.addresses().map(({ cidr }) => cidr.split('/')[0] ?? ''))
    return (address) => own.has(address) || address.startsWith('127.')
  } finally {
    link.close()
  }
}

/** Up to so many former containers are looked for one by one. */
const SINGLY = 4

/** Forgets stray flows, one search after the other; what is asked for meanwhile is in the next. */
export class FlowSweeper {
  readonly #published: () => Iterable<PublishedPort>
  readonly #log: Logger
  #gone: PublishedPort[] = []
  #udp = { ipv4: false, ipv6: false }
  #running: Promise<void> | undefined

  /** `published`: what the rules say at the moment of asking. */
  constructor(published: () => Iterable<PublishedPort>, log: Logger) {
    this.#published = published
    this.#log = log
  }

  /** Of ports that are `gone`, and UDP flows to those that have `come`. */
  sweep(gone: readonly PublishedPort[], come: Iterable<PublishedPort>): void {
    this.#gone.push(...gone)
    for (const { protocol, address } of come) if (protocol === 'udp') this.#udp[familyOf(address)] = true
    if (this.#hasWork) this.#running ??= this.#run()
  }

  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#hasWork) {
      const [gone, udp] = [this.#gone, this.#udp]
      this.#gone = []
      this.#udp = { ipv4: false, ipv6: false }
      try {
        for (const family of ['ipv4', 'ipv6'] as const) await this.#search(family, gone, udp[family])
      } catch (error) {
        this.#log.warn({ error }, 'flows from before cannot be forgotten: their clients may reach the former container')
      }
    }
    // In the turn in which there was no more work: what comes next begins anew.
    this.#running = undefined
  }

  get #hasWork(): boolean {
    return this.#gone.length > 0 || this.#udp.ipv4 || this.#udp.ipv6
  }

  async #search(family: FlowFamily, gone: readonly PublishedPort[], udp: boolean): Promise<void> {
    const former = gone.filter((port) => familyOf(port.address) === family)
    const addresses = new Set(former.map((port) => port.address))
    const filters: FlowFilter[] =
      addresses.size > SINGLY
        ? [...new Set(former.map(({ protocol }) => protocol))].map((protocol) => ({ protocol }))
        : [...addresses].map((answers) => ({ answers }))
    if (udp && !filters.some((filter) => 'protocol' in filter && filter.protocol === 'udp'))
      filters.push({ protocol: 'udp' })
    const was = indexPorts(former)
    for (const filter of filters) {
      let stray: ((flow: Flow) => boolean) | undefined
      await forgetFlows(family, filter, (flow) => {
        // What the rules say now that the kernel has told the flows: a container may be back with its ports.
        stray ??= this.#judge(was)
        return stray(flow)
      })
    }
  }

  #judge(gone: PortIndex): (flow: Flow) => boolean {
    const [published, isLocal] = [indexPorts(this.#published()), localAddresses()]
    return (flow) => isStray(flow, gone, published, isLocal)
  }
}

const familyOf = (address: string): FlowFamily => (isIPv6(address) ? 'ipv6' : 'ipv4')
