import { RtNetlink, type LinkCounters } from '../../shared/kernel/rtnetlink.ts'
import { withNetnsLink } from '../../shared/kernel/netns.ts'
import type { EndpointRecord, Records } from './records.ts'
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

  read(ids: readonly string[]): Record<string, Counters> {
    const link = (this.#link ??= new RtNetlink())
    const host = link.counters()
    const result: Record<string, Counters> = {}
    for (const id of ids) {
      const sandbox = this.#records.sandbox(id)
      if (!sandbox || sandbox.phase === 'creating' || sandbox.phase === 'deleting') continue
      const endpoints = this.#records.endpointsOf(sandbox.root).filter((e) => e.interface !== '')
      const counters: Counters = {}
      for (const e of endpoints) {
        const found = e.hostInterface === '' ? this.#inside(sandbox.root, e) : this.#outside(link, host, e)
        if (found) counters[e.interface] = found
      }
      if (endpoints.length > 0) result[id] = counters
    }
    return result
  }

  #outside(link: RtNetlink, host: Map<number, LinkCounters>, e: EndpointRecord): LinkCounters | undefined {
    let index = this.#indexes.get(e.hostInterface)
    if (index === undefined || !host.has(index)) {
      this.#indexes = new Map(link.links().map((l) => [l.name, l.index]))
      index = this.#indexes.get(e.hostInterface)
    }
    const counters = index === undefined ? undefined : host.get(index)
    return counters && mirrored(counters)
  }

  #inside(root: string, e: EndpointRecord): LinkCounters | undefined {
    return withNetnsLink(this.#files.netns(root), (link) => {
      const index = link.link(e.interface)?.index
      return index === undefined ? undefined : link.counters().get(index)
    })
  }

  close(): void {
    this.#link?.close()
  }
}
