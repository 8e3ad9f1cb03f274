import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import type { JobRecord } from './runner.ts'
import { endRun, resumeEnding, termsIn, termsOf, type Terms } from './signal.ts'
import { refuseRemoved, startHeld } from './start.ts'
import { stopTerms, type StopRequest } from './stop.ts'

/** Stops a container that runs, and starts it. @throws `conflict` when its removal has begun. */
export async function restart(engine: Engine, request: StopRequest): Promise<void> {
  const container = engine.containers.find(request.ref)
  refuseRemoved(container)
  await stopAndStart(engine, container, stopTerms(container, request))
}

async function stopAndStart(engine: Engine, { id, state }: Container, terms: Terms, resume?: JobRecord): Promise<void> {
  // The run that is to end, by which recovery knows how far it came.
  const spec = { name: 'restart', container: id, arguments: { ...termsIn(terms), instance: state.instance } } as const
  engine.restarting.add(id)
  try {
    await engine.jobs.run({ ...spec, intent: true, resume }, async (job) => {
      if (isAlive(engine.containers.find(id)) || state.status === 'restarting') await endRun(engine, job, id, terms)
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
    refuseRemoved(container)
    engine.restarter.cancel(id)
    await startHeld(engine, id, { restartCount: 0, manuallyStopped: false })
  })
}

/**
 * The engine died while it restarted this container. If it had stopped it, it starts it; if the run that was to end goes on, the job
 * ends it and starts the next, when the caller has given up the lock.
 */
export async function recoverRestart(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  const close = (write?: () => void) => engine.jobs.close(record, 'done', '', write)
  const tell = () => emitContainer(engine.store, engine.containers.find(record.container), 'restart')
  if (!container) return close()
  if (container.state.instance !== record.arguments['instance']) return close(isAlive(container) ? tell : undefined)
  const { status } = container.state
  if (isAlive(container) || status === 'restarting') {
    resumeEnding(engine, record, () => stopAndStart(engine, container, termsOf(record), record))
    return
  }
  if (status !== 'exited' && status !== 'created') return close()
  await startHeld(engine, container.id, { restartCount: 0, manuallyStopped: false })
  close(tell)
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
      await startHeld(engine, id, {}).catch((error: unknown) =>
        engine.log.warn({ err: error, container: id }, 'restart by policy failed'),
      )
    })
  })
}
