import { conflict } from '../../../shared/errors/index.ts'
import { SIGKILL } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { recordDead, recordRemoval } from './exit.ts'
import type { JobRecord, RunningJob } from './runner.ts'
import { endRun, resumeEnding } from './signal.ts'
import { demolish } from './teardown.ts'

export interface RemoveRequest {
  readonly ref: string
  readonly force: boolean
  readonly volumes: boolean
}

/** Removes a container; a running one with `force` only. @throws `conflict` in Docker's words. */
export async function remove(engine: Engine, { ref, force, volumes }: RemoveRequest): Promise<void> {
  const container = engine.containers.find(ref)
  const { id } = container
  if (engine.removing.has(id) || container.state.status === 'removing') {
    throw conflict(`removal of container ${ref} is already in progress`)
  }
  if (!force) checkStopped(container)
  if (hasRun(container)) return killAndRemove(engine, id, volumes)
  engine.removing.set(id, { volumes })
  try {
    await engine.locks.run(id, () => whenEnded(engine, id, () => removeHeld(engine, id, { volumes })))
  } finally {
    engine.removing.delete(id)
  }
}

/** Whether there is something to kill. */
const hasRun = (container: Container): boolean => isAlive(container) || container.state.status === 'restarting'

/** The end of its run may have removed it already. @throws `conflict` when it runs anew. */
async function whenEnded(engine: Engine, id: string, work: () => Promise<void>): Promise<void> {
  const now = engine.containers.get(id)
  if (!now) return
  if (isAlive(now)) throw conflict(`cannot remove container "/${now.name}": it was started again meanwhile`)
  await work()
}

async function killAndRemove(engine: Engine, id: string, volumes: boolean, resume?: JobRecord): Promise<void> {
  // The end of its run removes it, too: it is known to be wanted.
  engine.removing.set(id, { volumes })
  const spec = { name: 'remove', container: id, arguments: { volumes }, resume } as const
  const work = async (job: RunningJob) => {
    await endRun(engine, job, id, { signal: SIGKILL, timeoutMs: 0 })
    const removal = async () => {
      engine.store.transaction(() => {
        beginRemoval(engine, id)
        job.save()
      })
      await finishRemoval(engine, job, id, volumes)
    }
    await engine.locks.run(id, () => whenEnded(engine, id, removal))
  }
  const failed = (error: unknown) => {
    if (engine.containers.get(id)?.state.status === 'removing') recordDead(engine, id, error)
  }
  await engine.jobs.run(spec, work, failed).finally(() => engine.removing.delete(id))
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

/** The removal itself; the caller holds the container's lock, and it does not run. */
export async function removeHeld(
  engine: Engine,
  id: string,
  { volumes, resume }: { volumes: boolean; resume?: JobRecord },
): Promise<void> {
  const intent = () => beginRemoval(engine, id)
  await engine.jobs.run(
    { name: 'remove', container: id, arguments: { volumes }, intent, resume },
    (job) => finishRemoval(engine, job, id, volumes),
    (error) => recordDead(engine, id, error),
  )
}

function beginRemoval(engine: Engine, id: string): void {
  engine.restarter.cancel(id)
  engine.containers.setState(id, { status: 'removing' })
}

async function finishRemoval(engine: Engine, job: RunningJob, id: string, volumes: boolean): Promise<void> {
  await demolish(engine, job, id, volumes)
  job.commit(() => recordRemoval(engine, id))
}

/** The engine died while it removed this container: it goes on. One that it was about to kill is killed when recovery has given up the lock. */
export async function recoverRemove(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  const volumes = record.arguments['volumes'] === true
  if (!container) engine.jobs.close(record, 'done', '')
  else if (hasRun(container)) resumeEnding(engine, record, () => killAndRemove(engine, container.id, volumes, record))
  else await removeHeld(engine, container.id, { volumes, resume: record })
}
