import { RtNetlink, type LinkCounters } from '../../shared/kernel/rtnetlink.ts'
import { isNetns, withNetnsLink } from '../../shared/kernel/netns.ts'
import type { LiveInterface, Records } from './records.ts'
import type { SandboxFiles } from './sandbox-files.ts'

type Counters = Record<string, LinkCounters>
type HostLinks = Pick<RtNetlink, 'counters' | 'links' | 'close'>

/** How old the counters of the host's interfaces may be: two samples a second apart are never the same. */
const FRESH_MS = 500

/** What the host's end of a veth received, the container sent. */
const mirrored = (c: LinkCounters): LinkCounters => ({
  rx_bytes: c.tx_bytes,
  rx_packets: c.tx_packets,
  rx_errors: c.tx_errors,
  rx_dropped: c.tx_dropped,
  tx_bytes: c.rx_bytes,
  tx_packets: c.rx_packets,
  tx_errors: c.rx_errors,
  tx_dropped: c.rx_dropped,
})

/**
 * Counters of the interfaces of many sandboxes. Endpoints with an end on the host are all read with one question to the kernel;
 * only for others the namespace is entered.
 */
export class SandboxStats {
  readonly #records: Pick<Records, 'sandbox' | 'endpointsOf' | 'liveInterfaces'>
  readonly #files: Pick<SandboxFiles, 'netns'>
  readonly #open: () => HostLinks
  #link: HostLinks | undefined
  /** Counters of all host interfaces, by index, as last read. */
  #host: { readonly counters: Map<number, LinkCounters>; readonly readAt: number } | undefined
  /** Index of host interfaces; an index is an interface's as long as it is there. */
  #indexes = new Map<string, number>()

  constructor(
    records: Pick<Records, 'sandbox' | 'endpointsOf' | 'liveInterfaces'>,
    files: Pick<SandboxFiles, 'netns'>,
    open: () => HostLinks = () => new RtNetlink(),
  ) {
    this.#records = records
    this.#files = files
    this.#open = open
  }

  /** Those that were asked for; who shares a namespace gets its owner's. */
  read(ids: readonly string[]): Record<string, Counters> {
    const interfaces = ids.flatMap((id) => {
      const sandbox = this.#records.sandbox(id)
      if (!sandbox || sandbox.phase === 'creating' || sandbox.phase === 'deleting') return []
      return this.#records
        .endpointsOf(sandbox.root)
        .filter((e) => e.interface !== '')
        .map((e) => [id, e] as const)
    })
    return this.#count(interfaces)
  }

  /** Those of all sandboxes that are up, by the namespace's owner; a sandbox without interfaces is left out. */
  all(): Record<string, Counters> {
    return this.#count(this.#records.liveInterfaces().map((e) => [e.sandbox, e]))
  }

  #count(interfaces: ReadonlyArray<readonly [id: string, of: LiveInterface]>): Record<string, Counters> {
    const result: Record<string, Counters> = {}
    if (interfaces.length === 0) return result
    const link = (this.#link ??= this.#open())
    const host = this.#hostCounters(link, interfaces)
    for (const [id, e] of interfaces) {
      const counters = (result[id] ??= {})
      const found = e.hostInterface === '' ? this.#inside(e) : this.#outside(link, host, e)
      if (found) counters[e.interface] = found
    }
    return result
  }

  /** Many who ask one after the other share an answer. An interface that is newer than it makes the kernel be asked again. */
  #hostCounters(link: HostLinks, interfaces: ReadonlyArray<readonly [id: string, of: LiveInterface]>) {
    const now = performance.now()
    const known = this.#host
    const isIn = (e: LiveInterface): boolean =>
      e.hostInterface === '' || known?.counters.has(this.#indexes.get(e.hostInterface) ?? -1) === true
    if (known && now - known.readAt < FRESH_MS && interfaces.every(([, e]) => isIn(e))) return known.counters
    const counters = link.counters()
    this.#host = { counters, readAt: now }
    return counters
  }

  #outside(link: HostLinks, host: Map<number, LinkCounters>, e: LiveInterface): LinkCounters | undefined {
    let index = this.#indexes.get(e.hostInterface)
    if (index === undefined || !host.has(index)) {
      this.#indexes = new Map(link.links().map((l) => [l.name, l.index]))
      index = this.#indexes.get(e.hostInterface)
    }
    const counters = index === undefined ? undefined : host.get(index)
    return counters && mirrored(counters)
  }

  #inside(e: LiveInterface): LinkCounters | undefined {
    const netns = this.#files.netns(e.sandbox)
    // Somebody else may have taken it away: that must not hide the others' counters.
    if (!isNetns(netns)) return undefined
    return withNetnsLink(netns, (link) => {
      const index = link.link(e.interface)?.index
      return index === undefined ? undefined : link.counters().get(index)
    })
  }

  close(): void {
    this.#link?.close()
  }
}
