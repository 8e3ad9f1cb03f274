import { isKind, internal } from '../../../shared/errors/index.ts'
import { SIGKILL, SIGTERM, signalNumber } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { LeftToSuccessor, type JobRecord, type RunningJob } from './runner.ts'

/** How long a process may take to be gone after SIGKILL (it may be in the kernel, on a slow disk). */
const KILL_WAIT_MS = 30_000

export const stopSignal = (container: Container): number =>
  container.config.StopSignal ? signalNumber(container.config.StopSignal) : SIGTERM

interface SignalOptions {
  /** Whether it is meant to end the run, whatever signal it is. */
  readonly ends?: boolean
  /** The job that it is a step of: saved before the signal, when that ends the run, and with its event. */
  readonly job: RunningJob
}

/**
 * Sends a signal and tells of it, under the container's lock so that the exit it causes is told afterwards. A signal that
 * is meant to end the container counts as a user's stop, and reaches a paused one too: SIGKILL, its stop signal, and whatever a
 * stop `ends` it with.
 *
 * @returns the run that it was sent to; undefined when there is none any more.
 */
export function sendSignal(
  engine: Engine,
  id: string,
  signal: number,
  { ends: stops = false, job }: SignalOptions,
): Promise<string | undefined> {
  return engine.locks.run(id, async () => {
    const container = engine.containers.get(id)
    if (!container) return undefined
    const ends = stops || signal === SIGKILL || signal === stopSignal(container)
    if (container.state.status === 'restarting' && ends) {
      engine.restarter.cancel(id)
      engine.store.transaction(() => {
        engine.containers.setState(id, { status: 'exited', manuallyStopped: true })
        job.save()
      })
      return undefined
    }
    const { instance } = container.state
    if (!isAlive(container) || isOver(job, container)) return undefined
    // Before the signal: whatever dies meanwhile, no policy starts again what a user has stopped.
    if (ends) {
      engine.store.transaction(() => {
        if (!container.state.manuallyStopped) engine.containers.setState(id, { manuallyStopped: true })
        job.save({ instance })
      })
    }
    try {
      await engine.lower.exec['process.signal']({ id, signal, key: job.record.request ?? job.record.id })
    } catch (error) {
      // It has just ended by itself: the fact is on its way.
      if (!isKind(error, 'conflict') && !isKind(error, 'not-found')) {
        const { manuallyStopped } = container.state
        engine.store.transaction(() => engine.containers.setState(id, { manuallyStopped }))
        throw error
      }
    }
    const thaw = ends && container.state.status === 'paused'
    if (thaw) await engine.lower.cgroup['group.thaw']({ id })
    engine.store.transaction(() => {
      const now = thaw ? engine.containers.setState(id, { status: 'running' }) : container
      emitContainer(engine.store, now, 'kill', { signal: String(signal) })
      job.save({ instance, sent: [...sentBy(job.record), signal] })
      if (thaw) emitContainer(engine.store, now, 'unpause')
    })
    if (thaw) engine.health.watch(engine, id)
    return instance
  })
}

/** The signals that a job has sent and told of. */
export const sentBy = ({ arguments: { sent } }: JobRecord): number[] => (Array.isArray(sent) ? (sent as number[]) : [])

/** Whether the run that a job was ending is over, so that what runs now is none of its business. */
const isOver = ({ record, resumed }: RunningJob, { state }: Container): boolean =>
  resumed && record.arguments['instance'] !== state.instance

/** Waits until a run is over. @returns false when it is not after `timeoutMs`. */
export async function runEnds(engine: Engine, id: string, instance: string, timeoutMs: number): Promise<boolean> {
  const over = (c: Container | undefined) => c === undefined || !isAlive(c) || c.state.instance !== instance
  const ended = await engine.containers.until(id, over, timeoutMs, engine.stopping.signal)
  if (!ended && engine.stopping.signal.aborted) throw new LeftToSuccessor()
  return ended
}

/** Which signal ends a run, and how long until SIGKILL. */
export interface Terms {
  readonly signal: number
  /** Infinity: never. */
  readonly timeoutMs: number
}

/** Terms among a job's arguments: for ever is null, since Infinity is no JSON. */
export const termsIn = ({ signal, timeoutMs }: Terms) => ({
  signal,
  timeoutMs: Number.isFinite(timeoutMs) ? timeoutMs : null,
})

export const termsOf = ({ arguments: { signal, timeoutMs } }: JobRecord): Terms => ({
  signal: Number(signal),
  timeoutMs: Number(timeoutMs ?? Infinity),
})

/** Whether the run that an interrupted job was ending goes on, as far as the container's record says. */
export const runs = (container: Container, record: JobRecord): boolean =>
  isAlive(container) && container.state.instance === record.arguments['instance']

/** Goes on with an interrupted job that takes the container's lock itself: when recovery has given that up. */
export function resumeEnding(engine: Engine, record: JobRecord, work: () => Promise<void>): void {
  const resumed = work()
  engine.requests.recover(record.request, resumed)
  resumed.catch((error: unknown) =>
    engine.log.error({ err: error, name: record.name, container: record.container }, 'interrupted job not finished'),
  )
}

/** Ends a container's run: its stop signal, then SIGKILL after `timeoutMs`. A job that is resumed goes on where it was. */
export async function endRun(engine: Engine, job: RunningJob, id: string, { signal, timeoutMs }: Terms): Promise<void> {
  const sent = sentBy(job.record)
  const send = (n: number) => job.step(`signal ${n}`, () => sendSignal(engine, id, n, { ends: true, job }))
  const instance = sent.length > 0 ? String(job.record.arguments['instance']) : await send(signal)
  if (instance === undefined) return
  if (signal !== SIGKILL && !sent.includes(SIGKILL)) {
    const left = sent.length > 0 ? Math.max(0, job.record.startedAt + timeoutMs - Date.now()) : timeoutMs
    if (await job.step('wait', () => runEnds(engine, id, instance, left))) return
    await send(SIGKILL)
  }
  if (await job.step('wait', () => runEnds(engine, id, instance, KILL_WAIT_MS))) return
  throw internal(`container ${id} has not ended ${KILL_WAIT_MS / 1000} s after SIGKILL`)
}
