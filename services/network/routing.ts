import { withNetnsLink } from '../../shared/kernel/netns.ts'
import { chooseDefaultRoute, type Placed } from './gateway.ts'

/**
 * Makes the default routes of a namespace what the endpoints' priorities say, in those families where that is another than with
 * the endpoints `before` ([] for a namespace without routes): what the container itself has set up is left alone otherwise. The
 * route through an endpoint that is gone went with its interface.
 */
export function applyDefaultRoutes(netns: string, before: readonly Placed[], now: readonly Placed[]): void {
  const changed = ([false, true] as const).flatMap((v6) => {
    const chosen = chooseDefaultRoute(now, v6)
    const same = chooseDefaultRoute(before, v6)?.placed.endpoint.id === chosen?.placed.endpoint.id
    return chosen && !same ? [{ destination: v6 ? 'default6' : 'default4', ...chosen }] : []
  })
  if (changed.length === 0) return
  withNetnsLink(netns, (link) => {
    for (const { destination, gateway, placed } of changed) {
      const linkIndex = link.link(placed.endpoint.interface)?.index
      if (linkIndex !== undefined) link.replaceRoute({ destination, gateway, linkIndex })
    }
  })
}
