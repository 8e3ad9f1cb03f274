import { conflict, notFound } from '../../../shared/errors/index.ts'
import { parseLink } from '../config/options.ts'
import { isAlive, withState, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { endpointRequest } from '../plan/requests.ts'
import type { JobRecord } from './runner.ts'

/** `docker rm --link parent/alias`: the link goes, both containers stay. @throws in Docker's words. */
export async function unlink(engine: Engine, ref: string): Promise<void> {
  const at = ref.replace(/^\//, '').lastIndexOf('/')
  if (at === -1) {
    engine.containers.find(ref)
    throw conflict('Conflict, cannot remove the default link name of the container')
  }
  const name = ref.replace(/^\//, '')
  const alias = name.slice(at + 1)
  const parent = engine.containers.peek(name.slice(0, at))
  if (!parent) throw notFound(`No such container: ${ref}`)
  const { id } = parent
  await engine.locks.run(id, async () => {
    await engine.gate.passed()
    const container = engine.containers.find(id)
    const unlinked = withoutLink(container, alias)
    if (unlinked.links.length === container.links.length) throw notFound(`No such container: ${ref}`)
    await engine.jobs.run({ name: 'unlink', container: id, arguments: { alias }, intent: true }, async (job) => {
      const sandbox = onLiveBridge(container)
        ? await job.step(
            'network.endpoint.connect',
            () => applyLinks(engine, unlinked),
            () => applyLinks(engine, container),
          )
        : undefined
      job.commit(() => {
        const { state } = engine.containers.find(id)
        engine.containers.put(withState({ ...unlinked, state }, { sandbox: sandbox ?? state.sandbox }))
      })
    })
  })
}

const withoutLink = (container: Container, alias: string): Container => ({
  ...container,
  links: container.links.filter((link) => link.alias !== alias),
  hostConfig: {
    ...container.hostConfig,
    Links: (container.hostConfig.Links ?? []).filter((text) => parseLink(text).alias !== alias),
  },
})

const onLiveBridge = (container: Container): boolean =>
  isAlive(container) && container.endpoints['bridge'] !== undefined

/** Connected again with other links, an endpoint takes those over. */
const applyLinks = (engine: Engine, container: Container) =>
  engine.lower.network['endpoint.connect']({
    id: container.id,
    endpoint: endpointRequest(container, 'bridge', container.endpoints['bridge'] ?? {}),
  })

/** The engine died meanwhile: the container keeps the links that its record says. */
export async function recoverUnlink(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  if (container && onLiveBridge(container)) await applyLinks(engine, container)
  engine.jobs.close(record, 'failed', 'the engine was restarted while it ran; undone')
}
