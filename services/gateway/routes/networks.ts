import { invalid } from '../../../shared/errors/index.ts'
import { newId } from '../http/ids.ts'
import { created, noContent, ok, route, type Handler, type Route } from '../http/route.ts'
import { NetworkConnect, NetworkCreate, NetworkDisconnect } from '../schemas/network.ts'

const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']
const PRUNE_FILTERS = ['label', 'label!', 'until']

const list: Handler = async ({ query }, { network }) =>
  ok(await network['network.list']({ filters: query.filters(LIST_FILTERS) }))

const inspect: Handler = async (call, { network }) => {
  const scope = call.query.text('scope')
  return ok(
    await network['network.inspect']({
      ref: call.param('id'),
      verbose: call.query.bool('verbose'),
      ...(scope === '' ? {} : { scope }),
    }),
  )
}

const create: Handler = async (call, { network }) => {
  const spec = await call.body(NetworkCreate)
  if (call.api < 48) delete spec.EnableIPv4
  const { id, warning } = await network['network.create']({ id: newId(), spec })
  return created({ Id: id, Warning: warning })
}

const remove: Handler = async (call, { network }) => {
  await network['network.remove']({ ref: call.param('id') })
  return noContent()
}

const connect: Handler = async (call, { engine }) => {
  const body = await call.body(NetworkConnect)
  const config = body.EndpointConfig ?? {}
  if (call.api < 44) delete config.MacAddress
  if (call.api < 48) delete config.GwPriority
  await engine['network.connect']({ network: call.param('id'), container: containerOf(body.Container), config })
  return ok()
}

const disconnect: Handler = async (call, { engine }) => {
  const body = await call.body(NetworkDisconnect)
  await engine['network.disconnect']({
    network: call.param('id'),
    container: containerOf(body.Container),
    force: body.Force ?? false,
  })
  return ok()
}

function containerOf(name: string | undefined): string {
  if (!name)
    throw invalid('Container must name the container to connect or disconnect', { details: { field: 'Container' } })
  return name.replace(/^\//, '')
}

const prune: Handler = async ({ query }, { network }) =>
  ok(await network['network.prune']({ filters: query.filters(PRUNE_FILTERS) }))

export const networks: readonly Route[] = [
  route('GET', '/networks', 'network list', list),
  // Docker has it with a slash at its end too.
  route('GET', '/networks/', 'network list', list),
  route('POST', '/networks/create', 'network create', create),
  route('POST', '/networks/prune', 'network prune', prune),
  route('GET', '/networks/:id', 'network inspect', inspect),
  route('POST', '/networks/:id/connect', 'network connect', connect),
  route('POST', '/networks/:id/disconnect', 'network disconnect', disconnect),
  route('DELETE', '/networks/:id', 'network remove', remove),
]
