import { RtNetlink, type LinkCounters } from '../../shared/kernel/rtnetlink.ts'
import { isNetns, withNetnsLink } from '../../shared/kernel/netns.ts'
import type { LiveInterface, Records } from './records.ts'
import type { SandboxFiles } from './sandbox-files.ts'

type Counters = Record<string, LinkCounters>

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
  readonly #records: Records
  readonly #files: SandboxFiles
  #link: RtNetlink | undefined
  /** Index of host interfaces; an index is an interface's as long as it is there. */
  #indexes = new Map<string, number>()

  constructor(records: Records, files: SandboxFiles) {
    this.#records = records
    this.#files = files
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
    const link = (this.#link ??= new RtNetlink())
    const host = link.counters()
    for (const [id, e] of interfaces) {
      const counters = (result[id] ??= {})
      const found = e.hostInterface === '' ? this.#inside(e) : this.#outside(link, host, e)
      if (found) counters[e.interface] = found
    }
    return result
  }

  #outside(link: RtNetlink, host: Map<number, LinkCounters>, e: LiveInterface): LinkCounters | undefined {
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
