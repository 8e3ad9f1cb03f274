import { conflict } from '../../../shared/errors/index.ts'
import { SIGKILL } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { recordDead, recordRemoval } from './exit.ts'
import type { JobRecord } from './runner.ts'
import { runEnds, sendSignal } from './signal.ts'
import { demolish } from './teardown.ts'

export interface RemoveRequest {
  readonly ref: string
  readonly force: boolean
  readonly volumes: boolean
}

/** Removes a container; a running one with `force` only. @throws `conflict` in Docker's words. */
export async function remove(engine: Engine, { ref, force, volumes }: RemoveRequest): Promise<void> {
  if (!engine.containers.peek(ref) && engine.unanswered.take('remove', ref)) return
  const container = engine.containers.find(ref)
  const { id } = container
  engine.unanswered.forget(id)
  if (engine.removing.has(id) || container.state.status === 'removing') {
    throw conflict(`removal of container ${ref} is already in progress`)
  }
  if (!force) checkStopped(container)
  engine.removing.set(id, { volumes })
  try {
    // The end of its run removes it, too: it is known to be wanted.
    if (isAlive(container) || container.state.status === 'restarting') await killed(engine, id)
    await engine.locks.run(id, async () => {
      const now = engine.containers.get(id)
      if (!now) return
      if (isAlive(now)) throw conflict(`cannot remove container "/${now.name}": it was started again meanwhile`)
      await removeHeld(engine, id, { volumes })
    })
  } finally {
    engine.removing.delete(id)
  }
}

function checkStopped({ name, state }: Container): void {
  const refuse = (why: string) => conflict(`cannot remove container "/${name}": ${why}`)
  if (state.status === 'running') {
    throw refuse('container is running: stop the container before removing or force remove')
  }
  if (state.status === 'paused') throw refuse('container is paused and must be unpaused first')
  if (state.status === 'restarting') {
    throw refuse('container is restarting: stop the container before removing or force remove')
  }
}

async function killed(engine: Engine, id: string): Promise<void> {
  const instance = await sendSignal(engine, id, SIGKILL)
  if (instance !== undefined) await runEnds(engine, id, instance, 30_000)
}

/** The removal itself; the caller holds the container's lock, and it does not run. */
export async function removeHeld(engine: Engine, id: string, { volumes }: { volumes: boolean }): Promise<void> {
  engine.restarter.cancel(id)
  const intent = () => {
    engine.containers.setState(id, { status: 'removing' })
  }
  await engine.jobs.run(
    { name: 'remove', container: id, arguments: { volumes }, intent },
    async (job) => {
      await demolish(engine, job, id, volumes)
      job.commit(() => recordRemoval(engine, id))
    },
    (error) => recordDead(engine, id, error),
  )
}

/** The engine died while it removed this container: it goes on. */
export async function recoverRemove(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  if (container) {
    await removeHeld(engine, container.id, { volumes: record.arguments['volumes'] === true })
  }
  engine.jobs.close(record, 'done', '', () => {
    if (container) engine.unanswered.note('remove', container.id, container.name)
  })
}
