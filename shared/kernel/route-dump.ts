import { createRtNetlink, type RtNetlinkSocket } from 'netlink'
import { addressText } from './inet.ts'

/** A unicast route of the host with a destination. */
export interface HostRouteEntry {
  /** `10.0.0.0/8` */
  readonly destination: string
  readonly table: number
  /** Index of the device it leads to. */
  readonly linkIndex: number
}

let socket: RtNetlinkSocket | undefined

/**
 * All such routes of the network namespace in which it was called first (a service's own), without blocking the event loop while the kernel
 * lists them: a host with a full routing table has a million.
 */
export async function dumpHostRoutes(): Promise<HostRouteEntry[]> {
  socket ??= createRtNetlink()
  const routes = await socket.getRoutes()
  return routes.flatMap(({ data, attrs }) =>
    attrs.dst === undefined || data.type !== 'UNICAST'
      ? []
      : [
          {
            destination: `${addressText(attrs.dst)}/${data.dstLen ?? 0}`,
            table: attrs.table ?? data.table ?? 0,
            linkIndex: attrs.oif ?? 0,
          },
        ],
  )
}
