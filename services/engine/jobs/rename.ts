import { conflict, invalid } from '../../../shared/errors/index.ts'
import { isAlive } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import type { JobRecord } from './runner.ts'

/** Gives a container another name. @throws `conflict` naming the holder. */
export async function rename(engine: Engine, ref: string, wanted: string): Promise<void> {
  const { id } = engine.containers.find(ref)
  const name = wanted.replace(/^\//, '')
  if (name === '') throw invalid('Neither old nor new names may be empty')
  await engine.locks.run(id, async () => {
    const { name: old, state } = engine.containers.find(id)
    if (name === old) throw invalid('Renaming a container with the same name as its current name')
    if (state.status === 'removing' || state.status === 'dead') {
      throw conflict(`container ${id} is marked for removal and cannot be renamed`)
    }
    const intent = () => {
      engine.containers.reserveName(name, id)
    }
    await engine.jobs.run(
      { name: 'rename', container: id, arguments: { name, old }, intent },
      async (job) => {
        const { network } = engine.lower
        const { sandbox } = isAlive(engine.containers.find(id))
          ? await job.step(
              'network.sandbox.rename',
              () => network['sandbox.rename']({ id, name }),
              () => network['sandbox.rename']({ id, name: old }),
            )
          : {}
        job.commit(() => {
          const { state, ...container } = engine.containers.find(id)
          const renamed = { ...container, name, state: { ...state, sandbox: sandbox ?? state.sandbox } }
          engine.containers.put(renamed)
          engine.containers.releaseNames(id, name)
          emitContainer(engine.store, renamed, 'rename', { oldName: `/${old}` })
        })
      },
      () => engine.containers.releaseNames(id, old),
    )
  })
}

/** The engine died meanwhile: the container keeps the name that its record says. */
export async function recoverRename(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const container = engine.containers.get(id)
  if (container && isAlive(container)) await engine.lower.network['sandbox.rename']({ id, name: container.name })
  engine.jobs.close(record, 'failed', 'the engine was restarted while it ran; undone', () =>
    engine.containers.releaseNames(id, container?.name),
  )
}
