import { isCode } from './libc.ts'
import { NetlinkSocket, type NetlinkRequest } from './netlink.ts'
import {
  type BridgePortFlags,
  deleteLink,
  getLink,
  getLinks,
  getStats,
  type Link,
  type LinkChange,
  type LinkCounters,
  type LinkKind,
  type LinkRef,
  newLink,
  parseLink,
  parseStats,
  setBridgePort,
  setLink,
} from './rtnetlink-links.ts'
import {
  addAddress,
  type Address,
  deleteAddress,
  deleteRoute,
  getAddresses,
  type NewRoute,
  parseAddress,
  replaceRoute,
} from './rtnetlink-routes.ts'

export type { BridgePortFlags, Link, LinkCounters, MacvlanMode } from './rtnetlink-links.ts'
export { MACVLAN_MODES } from './rtnetlink-links.ts'

const NETLINK_ROUTE = 0

/**
 * Links, addresses and routes of the network namespace in which this object was made (it goes on to speak of that
 * namespace, wherever the process is). All calls are synchronous and throw SystemError with the errno's name as `code`.
 */
export class RtNetlink {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE)

  close(): void {
    this.#socket.close()
  }

  /** Several changes in one system call; all are tried, and the first failure is thrown. */
  batch(requests: readonly NetlinkRequest[]): void {
    if (requests.length > 0) this.#socket.request(requests)
  }

  newLink(link: LinkChange & { readonly name: string }, what: LinkKind): void {
    this.batch([newLink(link, what)])
  }

  setLink(link: LinkRef, change: LinkChange): void {
    this.batch([setLink(link, change)])
  }

  setBridgePort(index: number, flags: BridgePortFlags): void {
    this.batch([setBridgePort(index, flags)])
  }

  /** False when there was none. */
  deleteLink(link: LinkRef): boolean {
    try {
      this.batch([deleteLink(link)])
      return true
    } catch (error) {
      if (isCode(error, 'ENODEV', 'ENXIO')) return false
      throw error
    }
  }

  link(link: LinkRef): Link | undefined {
    try {
      const message = this.#socket.request([getLink(link)])[0]?.[0]
      return message && parseLink(message)
    } catch (error) {
      if (isCode(error, 'ENODEV', 'ENXIO')) return undefined
      throw error
    }
  }

  links(): Link[] {
    return this.#socket.dump(getLinks()).map(parseLink)
  }

  addAddress(index: number, cidr: string): void {
    this.batch([addAddress(index, cidr)])
  }

  deleteAddress(index: number, cidr: string): void {
    this.batch([deleteAddress(index, cidr)])
  }

  addresses(index?: number): Address[] {
    const all = this.#socket.dump(getAddresses()).map(parseAddress)
    return index === undefined ? all : all.filter((a) => a.linkIndex === index)
  }

  replaceRoute(route: NewRoute): void {
    this.batch([replaceRoute(route)])
  }

  /** A missing one is no error. */
  deleteRoute(route: NewRoute): void {
    try {
      this.batch([deleteRoute(route)])
    } catch (error) {
      if (!isCode(error, 'ESRCH')) throw error
    }
  }

  /** Counters of every link, by index. */
  counters(): Map<number, LinkCounters> {
    return new Map(
      this.#socket.dump(getStats()).map((message) => {
        const { index, counters } = parseStats(message)
        return [index, counters]
      }),
    )
  }
}
