import { notFound } from '../../../shared/errors/index.ts'
import { ok, route, type Route } from '../http/route.ts'

/**
 * Managed plugins (`docker plugin`): none can be installed yet, so the list is empty and no name is known. `docker inspect` asks for
 * a plugin too when it looks for a name.
 */
export const plugins: readonly Route[] = [
  route('GET', '/plugins', 'plugin list', async () => ok([])),
  route('GET', '/plugins/:name/json', 'plugin inspect', async (call) => {
    throw notFound(`plugin "${call.param('name')}" not found`)
  }),
]
