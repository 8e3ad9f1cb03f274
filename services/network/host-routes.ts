import { RtNetlink } from '../../shared/kernel/rtnetlink.ts'
import type { HostRoute } from './ipam/index.ts'

const LOCAL_TABLE = 255

/** Subnets that the host has routes to, so that no pool is laid over them; those of a device that the network uses do not count. */
export function hostRoutes(except?: string): HostRoute[] {
  const link = new RtNetlink()
  try {
    const own = except === undefined ? undefined : link.link(except)?.index
    return link
      .routes()
      .flatMap(({ table, destination, linkIndex = 0 }) =>
        table === LOCAL_TABLE || destination === undefined || linkIndex === own
          ? []
          : [new RouteOfHost(destination, linkIndex)],
      )
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
    const link = new RtNetlink()
    try {
      return link.link(this.#linkIndex)?.name ?? ''
    } finally {
      link.close()
    }
  }
}
