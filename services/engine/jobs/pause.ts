import { conflict } from '../../../shared/errors/index.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { uncheckedHealth } from '../health/judge.ts'
import type { JobRecord } from './runner.ts'

/** Freezes a container. @throws `conflict` when it does not run or is paused. */
export async function pause(engine: Engine, ref: string): Promise<void> {
  const { id } = engine.containers.find(ref)
  await engine.locks.run(id, async () => {
    const { state } = engine.containers.find(id)
    if (state.status === 'paused') throw conflict(`Container ${id} is already paused`)
    if (state.status === 'restarting')
      throw conflict(`Container ${id} is restarting, wait until the container is running`)
    if (state.status !== 'running') throw conflict(`Container ${id} is not running`)
    // A probe under way cannot end: it says nothing about the container.
    engine.health.forget(id)
    const pausing = engine.jobs.run({ name: 'pause', container: id, intent: true }, async (job) => {
      const { cgroup } = engine.lower
      await job.step(
        'cgroup.group.freeze',
        () => cgroup['group.freeze']({ id }),
        () => cgroup['group.thaw']({ id }),
      )
      const { health } = engine.containers.find(id).state
      const change = { status: 'paused', health: uncheckedHealth(health) } as const
      job.commit(() => emitContainer(engine.store, engine.containers.setState(id, change), 'pause'))
    })
    await pausing.finally(() => engine.health.watch(engine, id))
  })
}

/** Lets a paused container go on. @throws `conflict` when it is not paused. */
export async function unpause(engine: Engine, ref: string): Promise<void> {
  const { id } = engine.containers.find(ref)
  await engine.locks.run(id, async () => {
    if (engine.containers.find(id).state.status !== 'paused') throw conflict(`Container ${id} is not paused`)
    await engine.jobs.run({ name: 'unpause', container: id, intent: true }, async (job) => {
      const { cgroup } = engine.lower
      await job.step(
        'cgroup.group.thaw',
        () => cgroup['group.thaw']({ id }),
        () => cgroup['group.freeze']({ id }),
      )
      job.commit(() => emitContainer(engine.store, engine.containers.setState(id, { status: 'running' }), 'unpause'))
    })
    engine.health.watch(engine, id)
  })
}

/** The engine died between freezer and record: the record says how it shall be. */
export async function recoverPause(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const status = engine.containers.get(id)?.state.status
  if (status === 'running') await engine.lower.cgroup['group.thaw']({ id })
  if (status === 'paused') await engine.lower.cgroup['group.freeze']({ id })
  engine.jobs.close(record, 'failed', 'the engine was restarted while it ran; undone')
}
