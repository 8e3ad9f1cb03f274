import type { Filters } from '../../../shared/contracts/index.ts'
import { invalid, notFound, notImplemented } from '../../../shared/errors/index.ts'
import type { Call } from '../http/call.ts'
import { created, ok, route, type Handler, type Route } from '../http/route.ts'
import { shape, shapeAll } from '../shape/replies.ts'
import { progressReply, tarReply } from '../streams/archive.ts'

const LIST_FILTERS = ['before', 'dangling', 'label', 'reference', 'since', 'until']
const PRUNE_FILTERS = ['dangling', 'label', 'label!', 'until']

const list: Handler = async ({ query, api }, { storage }) => {
  const filters: Filters = query.filters(LIST_FILTERS)
  // Before the filters there was one parameter with a name pattern.
  if (api < 41 && query.has('filter')) filters['reference'] = [...(filters['reference'] ?? []), query.text('filter')]
  const images = await storage['image.list']({ all: query.bool('all'), filters, digests: query.bool('digests') })
  return ok(shapeAll('image list', api, images))
}

/**
 * Image names have slashes and colons, so the rest of the path is split here: `127.0.0.1:5000/a/b:1/json` is the verb `json` of
 * the image before it.
 */
function split(call: Call): { name: string; verb: string } {
  const rest = call.param('*')
  const at = rest.lastIndexOf('/')
  return { name: rest.slice(0, Math.max(at, 0)), verb: rest.slice(at + 1) }
}

const pageNotFound = () => notFound('page not found')

/** GET /images/{name}/(json|history|get) */
const read: Handler = async (call, backend) => {
  const { name, verb } = split(call)
  if (name === '') throw pageNotFound()
  switch (verb) {
    case 'json':
      return ok(shape('image inspect', call.api, await backend.storage['image.inspect']({ ref: name })))
    case 'history':
      return ok(await backend.storage['image.history']({ ref: name }))
    case 'get':
      return tarReply(call, backend, (await backend.storage['image.save']({ refs: [name] })).stream)
    default:
      throw pageNotFound()
  }
}

/** POST /images/{name}/(tag|push) */
const change: Handler = async (call, { storage }) => {
  const { name, verb } = split(call)
  if (name === '') throw pageNotFound()
  if (verb === 'push') throw notImplemented('image push is not implemented yet')
  if (verb !== 'tag') throw pageNotFound()
  await storage['image.tag']({ ref: name, ...repoAndTag(call.query.text('repo'), call.query.text('tag')) })
  return created()
}

const remove: Handler = async (call, { storage }) => {
  const { query } = call
  const ref = call.param('*')
  if (ref === '') throw pageNotFound()
  const removed = await storage['image.remove']({
    ref,
    force: query.bool('force'),
    noPrune: query.bool('noprune'),
  })
  return ok(removed)
}

/** The tag may be a parameter of its own or stand in the name; a port (`localhost:5000/x`) is no tag. */
function repoAndTag(repo: string, tag: string): { repo: string; tag: string } {
  const colon = repo.lastIndexOf(':')
  if (tag !== '' || colon <= repo.lastIndexOf('/')) return { repo, tag }
  return { repo: repo.slice(0, colon), tag: repo.slice(colon + 1) }
}

/** `docker import` (fromSrc) and `docker pull` (fromImage). */
const create: Handler = async (call, backend) => {
  const { query } = call
  if (query.has('fromImage')) throw noPull(query.text('fromImage'), query.text('tag'))
  const source = query.text('fromSrc')
  if (source === '') throw invalid('either fromImage (pull) or fromSrc (import) must be given')
  if (source !== '-') {
    throw notImplemented(
      `image import from "${source}" is not implemented yet: fetch it and send it as body (fromSrc=-)`,
    )
  }
  const { stream } = await backend.storage['image.import']({
    ...repoAndTag(query.text('repo'), query.text('tag')),
    message: query.text('message'),
    changes: query.list('changes'),
    ...(query.has('platform') ? { platform: query.text('platform') } : {}),
  })
  return progressReply(call, backend, stream)
}

const noPull = (image: string, tag: string) => {
  const name = tag === '' ? image : `${image}${tag.includes(':') ? '@' : ':'}${tag}`
  return notImplemented(
    `No such image: ${name}; image pull is not implemented yet: load or import the image ` +
      '(docker load, docker import)',
  )
}

const load: Handler = async (call, backend) => {
  const { stream } = await backend.storage['image.load']({ quiet: call.query.bool('quiet') })
  return progressReply(call, backend, stream)
}

const save: Handler = async (call, backend) => {
  const refs = call.query.list('names').filter((name) => name !== '')
  if (refs.length === 0) throw invalid('no image to save: give query parameter names, once for each image')
  return tarReply(call, backend, (await backend.storage['image.save']({ refs })).stream)
}

const prune: Handler = async ({ query }, { storage }) =>
  ok(await storage['image.prune']({ filters: query.filters(PRUNE_FILTERS) }))

export const images: readonly Route[] = [
  route('GET', '/images/json', 'image list', list),
  route('GET', '/images/get', 'image save', save),
  route('POST', '/images/create', 'image create', create),
  route('POST', '/images/load', 'image load', load),
  route('POST', '/images/prune', 'image prune', prune),
  // Without a builder there is no build cache: `docker system prune` asks all the same.
  route('POST', '/build/prune', 'build cache prune', async () => ok({ CachesDeleted: null, SpaceReclaimed: 0 })),
  route('GET', '/images/*', 'image inspect, history, save', read),
  route('POST', '/images/*', 'image tag, push', change),
  route('DELETE', '/images/*', 'image remove', remove),
]
