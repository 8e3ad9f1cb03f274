import { dumpHostRoutes } from '../../shared/kernel/route-dump.ts'
import { RtNetlink } from '../../shared/kernel/rtnetlink.ts'
import type { HostRoute } from './ipam/index.ts'

const LOCAL_TABLE = 255

/** Subnets that the host has routes to, so that no pool is laid over them; those of a device that the network uses do not count. */
export async function hostRoutes(except?: string): Promise<HostRoute[]> {
  const own = except === undefined ? undefined : withLink((link) => link.link(except)?.index)
  return (await dumpHostRoutes()).flatMap(({ table, destination, linkIndex }) =>
    table === LOCAL_TABLE || linkIndex === own ? [] : [new RouteOfHost(destination, linkIndex)],
  )
}

function withLink<T>(read: (link: RtNetlink) => T): T {
  const link = new RtNetlink()
  try {
    return read(link)
  } finally {
    link.close()
  }
}

/** Asks for the device's name only when somebody wants to know it: with many networks there are many routes. */
class RouteOfHost implements HostRoute {
  readonly cidr: string
  readonly #linkIndex: number

  constructor(cidr: string, linkIndex: number) {
    this.cidr = cidr
    this.#linkIndex = linkIndex
  }

  get device(): string {
    return withLink((link) => link.link(this.#linkIndex)?.name ?? '')
  }
}
