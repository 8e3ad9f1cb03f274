import { isKind, internal, unavailable } from '../../../shared/errors/index.ts'
import { SIGKILL, SIGTERM, signalNumber } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import type { RunningJob } from './runner.ts'

/** How long a process may take to be gone after SIGKILL (it may be in the kernel, on a slow disk). */
const KILL_WAIT_MS = 30_000

export const stopSignal = (container: Container): number =>
  container.config.StopSignal ? signalNumber(container.config.StopSignal) : SIGTERM

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
  { ends: stops = false } = {},
): Promise<string | undefined> {
  return engine.locks.run(id, async () => {
    const container = engine.containers.get(id)
    if (!container) return undefined
    engine.unanswered.forget(id)
    const ends = stops || signal === SIGKILL || signal === stopSignal(container)
    if (container.state.status === 'restarting' && ends) {
      engine.restarter.cancel(id)
      engine.store.transaction(() => engine.containers.setState(id, { status: 'exited', manuallyStopped: true }))
      return undefined
    }
    if (!isAlive(container)) return undefined
    // Before the signal: whatever dies meanwhile, no policy starts again what a user has stopped.
    if (ends && !container.state.manuallyStopped) {
      engine.store.transaction(() => engine.containers.setState(id, { manuallyStopped: true }))
    }
    try {
      await engine.lower.exec['process.signal']({ id, signal })
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
      if (thaw) emitContainer(engine.store, now, 'unpause')
    })
    if (thaw) engine.health.watch(engine, id)
    return container.state.instance
  })
}

/** Waits until a run is over. @returns false when it is not after `timeoutMs`. */
export async function runEnds(engine: Engine, id: string, instance: string, timeoutMs: number): Promise<boolean> {
  const over = (c: Container | undefined) => c === undefined || !isAlive(c) || c.state.instance !== instance
  const ended = await engine.containers.until(id, over, timeoutMs, engine.stopping.signal)
  if (!ended && engine.stopping.signal.aborted)
    throw unavailable('the engine is being restarted; ask again', { details: { draining: true } })
  return ended
}

/** Ends a container's run: its stop signal, then SIGKILL after `timeoutMs`. */
export async function endRun(
  engine: Engine,
  job: RunningJob,
  id: string,
  { signal, timeoutMs }: { signal: number; timeoutMs: number },
): Promise<void> {
  const instance = await job.step(`signal ${signal}`, () => sendSignal(engine, id, signal, { ends: true }))
  if (instance === undefined) return
  if (signal !== SIGKILL && (await job.step('wait', () => runEnds(engine, id, instance, timeoutMs)))) return
  if (signal !== SIGKILL) await job.step(`signal ${SIGKILL}`, () => sendSignal(engine, id, SIGKILL))
  if (await job.step('wait', () => runEnds(engine, id, instance, KILL_WAIT_MS))) return
  throw internal(`container ${id} has not ended ${KILL_WAIT_MS / 1000} s after SIGKILL`)
}
