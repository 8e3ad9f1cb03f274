import { invalid, notImplemented } from '../../../shared/errors/index.ts'
import type { Call } from '../http/call.ts'
import { newId } from '../http/ids.ts'
import { created, noContent, ok, okText, route, type Handler, type Route } from '../http/route.ts'
import { CONFIG_MEMBERS, ContainerCreate, ContainerUpdate } from '../schemas/container.ts'
import { shape, shapeAll } from '../shape/replies.ts'
import { modernize, modernizeUpdate } from '../shape/requests.ts'
import { views } from '../views.ts'
import { attach, logs } from './container-streams.ts'
import { stats } from './stats.ts'
import { wait } from './wait.ts'

const LIST_FILTERS = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
]
const PRUNE_FILTERS = ['label', 'label!', 'until']

/** Filters that images and networks decide. */
const OTHERS_FILTERS = ['ancestor', 'network']

const list: Handler = async ({ query, api }, backend) => {
  const request = {
    all: query.bool('all'),
    size: query.bool('size'),
    limit: query.int('limit') ?? 0,
    filters: query.filters(LIST_FILTERS),
  }
  const ask = async () => shapeAll('container list', api, await backend.engine['container.list'](request))
  // What does not depend on containers alone is asked for each time.
  if (request.size || OTHERS_FILTERS.some((name) => name in request.filters)) return ok(await ask())
  return okText(await views(backend).read(`list ${api} ${JSON.stringify(request)}`, ask))
}

const create: Handler = async (call, { engine }) => {
  const body = await call.body(ContainerCreate)
  if (!CONFIG_MEMBERS.some((name) => name in body)) {
    throw invalid('config cannot be empty in order to create a container')
  }
  const warnings = modernize(body, call.api)
  const reply = await engine['container.create']({
    id: newId(),
    name: call.query.text('name').replace(/^\//, ''),
    ...(call.query.has('platform') ? { platform: call.query.text('platform') } : {}),
    body,
  })
  return created({ Id: reply.id, Warnings: [...warnings, ...reply.warnings] })
}

const inspect: Handler = async (call, backend) => {
  const request = { ref: call.param('id'), size: call.query.bool('size') }
  const ask = async () => shape('container inspect', call.api, await backend.engine['container.inspect'](request))
  if (request.size) return ok(await ask())
  return okText(await views(backend).read(`inspect ${call.api} ${request.ref}`, ask))
}

const top: Handler = async (call, { engine }) =>
  ok(await engine['container.top']({ ref: call.param('id'), psArgs: call.query.text('ps_args') }))

const start: Handler = async (call, { engine }) => {
  // Until API 1.24 the host configuration could come with start: a client that still sends it must not be misunderstood.
  if (Number(call.raw.headers['content-length'] ?? 0) > 7) {
    throw invalid('starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24')
  }
  if (call.query.text('checkpoint') !== '') {
    throw notImplemented('starting from a checkpoint (checkpoint=) is not implemented: start without it')
  }
  const detachKeys = call.query.text('detachKeys')
  await engine['container.start']({ ref: call.param('id'), ...(detachKeys === '' ? {} : { detachKeys }) })
  return noContent()
}

/** Signal and timeout of stop and restart; the signal is known since API 1.42. */
const stopOptions = ({ query, api }: Call): { timeout?: number; signal?: string } => {
  const timeout = query.int('t')
  const signal = api >= 42 ? query.text('signal') : ''
  return { ...(timeout === undefined ? {} : { timeout }), ...(signal === '' ? {} : { signal }) }
}

const stop: Handler = async (call, { engine }) => {
  await engine['container.stop']({ ref: call.param('id'), ...stopOptions(call) })
  return noContent()
}

const restart: Handler = async (call, { engine }) => {
  await engine['container.restart']({ ref: call.param('id'), ...stopOptions(call) })
  return noContent()
}

const kill: Handler = async (call, { engine }) => {
  await engine['container.kill']({ ref: call.param('id'), signal: call.query.text('signal') })
  return noContent()
}

const pause: Handler = async (call, { engine }) => {
  await engine['container.pause']({ ref: call.param('id') })
  return noContent()
}

const unpause: Handler = async (call, { engine }) => {
  await engine['container.unpause']({ ref: call.param('id') })
  return noContent()
}

const rename: Handler = async (call, { engine }) => {
  await engine['container.rename']({ ref: call.param('id'), name: call.query.text('name').replace(/^\//, '') })
  return noContent()
}

const update: Handler = async (call, { engine }) => {
  const body = await call.body(ContainerUpdate)
  const warnings = modernizeUpdate(body, call.api)
  const reply = await engine['container.update']({ ref: call.param('id'), body })
  const all = [...warnings, ...reply.warnings]
  return ok({ Warnings: all.length > 0 ? all : null })
}

const resize: Handler = async (call, { engine }) => {
  await engine['container.resize']({ ref: call.param('id'), ...terminalSize(call) })
  return ok()
}

/** Rows and columns of a resize, which must both be there. */
export function terminalSize({ query }: Call): { rows: number; columns: number } {
  const [rows, columns] = [query.int('h'), query.int('w')]
  if (rows === undefined || columns === undefined || rows < 0 || columns < 0) {
    throw invalid('a terminal size is two query parameters: h (rows) and w (columns), 0 or more')
  }
  return { rows, columns }
}

const remove: Handler = async (call, { engine }) => {
  const { query } = call
  await engine['container.remove']({
    ref: call.param('*'),
    force: query.bool('force'),
    volumes: query.bool('v'),
    link: query.bool('link'),
  })
  return noContent()
}

const prune: Handler = async ({ query }, { engine }) =>
  ok(await engine['container.prune']({ filters: query.filters(PRUNE_FILTERS) }))

export const containers: readonly Route[] = [
  route('GET', '/containers/json', 'container list', list),
  route('POST', '/containers/create', 'container create', create),
  route('POST', '/containers/prune', 'container prune', prune),
  route('GET', '/containers/:id/json', 'container inspect', inspect),
  route('GET', '/containers/:id/top', 'container top', top),
  route('GET', '/containers/:id/logs', 'container logs', logs),
  route('GET', '/containers/:id/stats', 'container stats', stats),
  route('POST', '/containers/:id/start', 'container start', start),
  route('POST', '/containers/:id/stop', 'container stop', stop),
  route('POST', '/containers/:id/restart', 'container restart', restart),
  route('POST', '/containers/:id/kill', 'container kill', kill),
  route('POST', '/containers/:id/pause', 'container pause', pause),
  route('POST', '/containers/:id/unpause', 'container unpause', unpause),
  route('POST', '/containers/:id/rename', 'container rename', rename),
  route('POST', '/containers/:id/update', 'container update', update),
  route('POST', '/containers/:id/wait', 'container wait', wait),
  route('POST', '/containers/:id/attach', 'container attach', attach),
  route('POST', '/containers/:id/resize', 'container resize', resize),
  // The name of a link is of two parts: `web/db`.
  route('DELETE', '/containers/*', 'container remove', remove),
]
