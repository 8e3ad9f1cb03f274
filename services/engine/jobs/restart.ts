import { isKind } from '../../../shared/errors/index.ts'
import { isAlive } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import type { JobRecord } from './runner.ts'
import { endRun } from './signal.ts'
import { startHeld } from './start.ts'
import { stopTerms, type StopRequest } from './stop.ts'

/** Stops a container that runs, and starts it. */
export async function restart(engine: Engine, request: StopRequest): Promise<void> {
  const container = engine.containers.find(request.ref)
  const { id } = container
  const terms = stopTerms(container, request)
  engine.restarting.add(id)
  try {
    await engine.jobs.run({ name: 'restart', container: id, arguments: { ...terms }, intent: true }, async (job) => {
      if (isAlive(container) || container.state.status === 'restarting') await endRun(engine, job, id, terms)
      await job.step('start', () => startAgain(engine, id))
      job.commit(() => emitContainer(engine.store, engine.containers.find(id), 'restart'))
    })
  } finally {
    engine.restarting.delete(id)
  }
}

async function startAgain(engine: Engine, id: string): Promise<void> {
  await engine.locks.run(id, async () => {
    const container = engine.containers.find(id)
    if (isAlive(container)) return
    engine.restarter.cancel(id)
    await startHeld(engine, id, { restartCount: 0, manuallyStopped: false })
  })
}

/** The engine died while it restarted this container: if it had stopped it, it starts it. */
export async function recoverRestart(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  if (container?.state.status === 'exited') await startHeld(engine, container.id, { manuallyStopped: false })
  engine.jobs.close(record, 'done', '')
}

/** A container that its policy wants back: started after a while, unless a user does something with it before. */
export function restartLater(engine: Engine, id: string): void {
  if (engine.stopping.signal.aborted) return
  const container = engine.containers.get(id)
  if (container?.state.status !== 'restarting') return
  const { startedAt, finishedAt } = container.state
  engine.restarter.schedule(id, Date.parse(finishedAt) - Date.parse(startedAt), () => {
    void engine.locks.run(id, async () => {
      if (engine.containers.get(id)?.state.status !== 'restarting') return
      try {
        await startHeld(engine, id, {})
      } catch (error) {
        engine.log.warn({ err: error, container: id }, 'restart by policy failed')
        if (isKind(error, 'unavailable')) retry(engine, id)
      }
    })
  })
}

/** A service was not there: that says nothing about the container, so the next attempt is made. */
function retry(engine: Engine, id: string): void {
  if (!engine.containers.get(id)) return
  engine.store.transaction(() => engine.containers.setState(id, { status: 'restarting' }))
  restartLater(engine, id)
}
