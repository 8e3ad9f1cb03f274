import { notImplemented } from '../../../shared/errors/index.ts'
import { route, type Method, type Route } from '../http/route.ts'

/** What Docker has and Gantry does not, yet: answered by name, so that nobody has to guess. */
const MISSING: ReadonlyArray<readonly [method: Method, path: string, name: string]> = [
  ['GET', '/containers/:id/attach/ws', 'container attach over websocket'],
  ['GET', '/containers/:id/changes', 'container changes (diff)'],
  ['GET', '/containers/:id/export', 'container export'],
  ['GET', '/containers/:id/archive', 'container archive (cp)'],
  ['HEAD', '/containers/:id/archive', 'container archive (cp)'],
  ['PUT', '/containers/:id/archive', 'container archive (cp)'],
  ['POST', '/containers/:id/checkpoints', 'container checkpoint'],
  ['GET', '/containers/:id/checkpoints', 'container checkpoint list'],
  ['DELETE', '/containers/:id/checkpoints/:checkpoint', 'container checkpoint remove'],
  ['POST', '/commit', 'container commit'],
  ['POST', '/build', 'image build'],
  ['POST', '/build/cancel', 'build cancel'],
  ['GET', '/images/search', 'image search'],
  ['GET', '/distribution/*', 'distribution inspect'],
  ['POST', '/auth', 'registry login'],
  ['GET', '/system/df', 'system disk usage'],
  ['POST', '/session', 'session (BuildKit)'],
  ['POST', '/grpc', 'grpc (BuildKit)'],
  ['PUT', '/volumes/:name', 'volume update'],
  ['POST', '/plugins/*', 'plugin change'],
  ['DELETE', '/plugins/*', 'plugin remove'],
  ['GET', '/swarm', 'swarm'],
  ['GET', '/swarm/*', 'swarm'],
  ['POST', '/swarm/*', 'swarm'],
  ...['services', 'tasks', 'nodes', 'secrets', 'configs'].flatMap((kind): Array<[Method, string, string]> => [
    ['GET', `/${kind}`, `${kind} (swarm)`],
    ['GET', `/${kind}/*`, `${kind} (swarm)`],
    ['POST', `/${kind}/*`, `${kind} (swarm)`],
    ['DELETE', `/${kind}/*`, `${kind} (swarm)`],
  ]),
]

export const missing: readonly Route[] = MISSING.map(([method, path, name]) =>
  route(method, path, name, async () => {
    throw notImplemented(`${name} is not implemented yet (${method} ${path})`)
  }),
)
