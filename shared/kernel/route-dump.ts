import { createRtNetlink } from 'netlink'
import { addressText } from './inet.ts'

/** A unicast route of the host with a destination. */
export interface HostRouteEntry {
  /** `10.0.0.0/8` */
  readonly destination: string
  readonly table: number
  /** Index of the device it leads to. */
  readonly linkIndex: number
}

/**
 * All such routes of this thread's network namespace, without blocking the event loop while the kernel lists them: a host with a full
 * routing table has a million.
 */
export async function dumpHostRoutes(): Promise<HostRouteEntry[]> {
  // One for each dump: the kernel refuses a second one on the same socket (EBUSY), and the package takes their parts for one.
  const rtnetlink = createRtNetlink()
  const broken = Promise.withResolvers<never>()
  rtnetlink.socket.on('error', broken.reject)
  try {
    const routes = await Promise.race([rtnetlink.getRoutes(), broken.promise])
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
  } finally {
    rtnetlink.socket.close()
  }
}
