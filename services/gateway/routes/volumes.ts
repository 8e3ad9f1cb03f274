import { notImplemented } from '../../../shared/errors/index.ts'
import { newId } from '../http/ids.ts'
import { created, noContent, ok, route, type Handler, type Route } from '../http/route.ts'
import { VolumeCreate } from '../schemas/volume.ts'

const LIST_FILTERS = ['dangling', 'driver', 'label', 'name']
const PRUNE_FILTERS = ['all', 'label', 'label!']

/** Marks a volume that nobody named, as Docker does; prune takes these. */
const ANONYMOUS = 'com.docker.volume.anonymous'

const list: Handler = async ({ query }, { storage }) =>
  ok({ Volumes: await storage['volume.list']({ filters: query.filters(LIST_FILTERS) }), Warnings: null })

const inspect: Handler = async (call, { storage }) => ok(await storage['volume.inspect']({ ref: call.param('name') }))

const create: Handler = async (call, { storage }) => {
  const body = await call.optionalBody(VolumeCreate)
  if (body.ClusterVolumeSpec != null)
    throw notImplemented('volume create with ClusterVolumeSpec is not implemented yet')
  const name = body.Name ?? ''
  const volume = await storage['volume.create']({
    name: name === '' ? newId() : name,
    driver: body.Driver || 'local',
    options: body.DriverOpts ?? {},
    labels: { ...body.Labels, ...(name === '' ? { [ANONYMOUS]: '' } : {}) },
  })
  return created(volume)
}

const remove: Handler = async (call, { storage }) => {
  await storage['volume.remove']({ ref: call.param('name'), force: call.query.bool('force') })
  return noContent()
}

const prune: Handler = async ({ query, api }, { storage }) => {
  const filters = query.filters(PRUNE_FILTERS)
  // Until API 1.42 prune took named volumes too.
  return ok(await storage['volume.prune']({ filters: api < 42 ? { ...filters, all: ['true'] } : filters }))
}

export const volumes: readonly Route[] = [
  route('GET', '/volumes', 'volume list', list),
  route('POST', '/volumes/create', 'volume create', create),
  route('POST', '/volumes/prune', 'volume prune', prune),
  route('GET', '/volumes/:name', 'volume inspect', inspect),
  route('DELETE', '/volumes/:name', 'volume remove', remove),
]
