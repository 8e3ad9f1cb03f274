import { notModified } from '../../../shared/errors/index.ts'
import { signalNumber } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import type { JobRecord } from './runner.ts'
import { endRun, resumeEnding, runs, stopSignal, termsIn, termsOf, type Terms } from './signal.ts'

const STOP_TIMEOUT_S = 10

export interface StopRequest {
  readonly ref: string
  /** Seconds until SIGKILL; -1: never. Absent: the container's StopTimeout, or ten. */
  readonly timeout?: number
  readonly signal?: string
}

/** The signal and the patience that a stop goes by. */
export function stopTerms(container: Container, request: StopRequest): Terms {
  const seconds = request.timeout ?? container.config.StopTimeout ?? STOP_TIMEOUT_S
  return {
    signal: request.signal ? signalNumber(request.signal) : stopSignal(container),
    timeoutMs: seconds < 0 ? Infinity : seconds * 1000,
  }
}

/** Stops a container. @throws `not-modified` when it is stopped. */
export async function stop(engine: Engine, request: StopRequest): Promise<void> {
  const container = engine.containers.find(request.ref)
  const { id } = container
  const terms = stopTerms(container, request)
  if (!isAlive(container) && container.state.status !== 'restarting') {
    throw notModified(`container ${id} is already stopped`)
  }
  await runStop(engine, container, terms)
}

async function runStop(engine: Engine, container: Container, terms: Terms, resume?: JobRecord): Promise<void> {
  const { id } = container
  await engine.jobs.run({ name: 'stop', container: id, arguments: termsIn(terms), resume }, async (job) => {
    await endRun(engine, job, id, terms)
    // A container with AutoRemove may be gone by now; its event is told all the same.
    job.commit(() => emitContainer(engine.store, engine.containers.get(id) ?? container, 'stop'))
  })
}

/** The engine died while it stopped this container: it goes on. */
export async function recoverStop(engine: Engine, record: JobRecord): Promise<void> {
  const container = engine.containers.get(record.container)
  if (container && runs(container, record)) {
    resumeEnding(engine, record, () => runStop(engine, container, termsOf(record), record))
    return
  }
  engine.jobs.close(record, 'done', '', () => {
    if (container) emitContainer(engine.store, container, 'stop')
  })
}
