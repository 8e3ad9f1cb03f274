import type { StreamRef } from '../../../shared/contracts/index.ts'
import { CHANNEL } from '../../../shared/streams/types.ts'
import { toGantryError } from '../../../shared/errors/index.ts'
import { healthCheck, type HealthCheck } from '../config/health.ts'
import type { Container, HealthResult, HealthState } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import { newId, type Engine } from '../engine.ts'
import { withLinkVariables } from '../plan/links.ts'
import { execProcess } from '../plan/run-request.ts'
import { nextHealth } from './judge.ts'

const OUTPUT_LIMIT = 4096
/** How long a probe's output may still be on its way when its exit code is here. */
const OUTPUT_WAIT_MS = 1_000

interface Probe {
  readonly ended: (exitCode: number) => void
}

/** Runs the health checks of running containers. */
export class HealthMonitor {
  readonly #watched = new Map<string, AbortController>()
  readonly #probes = new Map<string, Probe>()

  /** The health that a container starts with; undefined without a check. */
  initial(container: Container): HealthState | undefined {
    return healthCheck(container.config) && { Status: 'starting', FailingStreak: 0, Log: [] }
  }

  /** Begins to check a container that runs; nothing to do for one that does not, or has no check. */
  watch(engine: Engine, id: string): void {
    const container = engine.containers.get(id)
    const check = container?.state.status === 'running' ? healthCheck(container.config) : undefined
    if (!container || !check) return
    this.forget(id)
    const aborter = new AbortController()
    this.#watched.set(id, aborter)
    void this.#loop(engine, container, check, aborter.signal).catch((error: unknown) =>
      engine.log.error({ err: error, container: id }, 'health checks ended'),
    )
  }

  forget(id: string): void {
    this.#watched.get(id)?.abort()
    this.#watched.delete(id)
  }

  stop(): void {
    for (const id of [...this.#watched.keys()]) this.forget(id)
  }

  /** An exec session is over; true when it was a probe. */
  probeEnded(execId: string, exitCode: number): boolean {
    const probe = this.#probes.get(execId)
    probe?.ended(exitCode)
    return probe !== undefined
  }

  async #loop(engine: Engine, { id, state }: Container, check: HealthCheck, signal: AbortSignal): Promise<void> {
    const { instance } = state
    const current = () => {
      const c = engine.containers.get(id)
      return c?.state.instance === instance && !signal.aborted ? c : undefined
    }
    // The container's time, not this loop's, which begins anew with each unpause and each engine.
    const inStartPeriod = (time: number) => time - Date.parse(state.startedAt) < check.startPeriodMs
    for (;;) {
      const starting = inStartPeriod(Date.now())
      const wait = starting && current()?.state.health?.Status === 'starting' ? check.startIntervalMs : check.intervalMs
      await pause(wait, signal)
      const container = current()
      if (!container) return
      const result = await this.#probe(engine, container, check, signal)
      if (!current()) return
      // A service that is being restarted says nothing about the container.
      if (result === undefined) continue
      try {
        record(engine, id, result, check, inStartPeriod(Date.parse(result.Start)))
      } catch (error) {
        engine.log.error({ err: error, container: id }, 'result of a health check could not be recorded')
      }
    }
  }

  async #probe(
    engine: Engine,
    container: Container,
    check: HealthCheck,
    signal: AbortSignal,
  ): Promise<HealthResult | undefined> {
    const execId = newId()
    const started = new Date().toISOString()
    const { promise: ended, resolve } = Promise.withResolvers<number>()
    this.#probes.set(execId, { ended: resolve })
    const limit = new AbortController()
    const result = (ExitCode: number, Output: string): HealthResult => ({
      Start: started,
      End: new Date().toISOString(),
      ExitCode,
      Output,
    })
    try {
      const { stream } = await engine.lower.exec['session.start']({
        id: execId,
        container: container.id,
        process: execProcess(withLinkVariables(engine.containers, container), { Cmd: check.command }, { tty: false }),
        stdin: false,
        stdout: true,
        stderr: true,
        detach: false,
        detachKeys: '',
      })
      const output: Buffer[] = []
      const collected = stream ? collect(stream, output).catch(() => undefined) : undefined
      const timeout = pause(check.timeoutMs, AbortSignal.any([limit.signal, signal])).then(() => undefined)
      const exitCode = await Promise.race([ended, timeout])
      if (exitCode === undefined) {
        await engine.lower.exec['session.kill']({ id: execId })
        return result(-1, `Health check exceeded timeout (${check.timeoutMs / 1000}s)`)
      }
      // The exit comes over the bus and the output over its stream: the one may be here before the other.
      await Promise.race([collected, pause(OUTPUT_WAIT_MS, signal)])
      return result(exitCode, Buffer.concat(output).toString('utf8').slice(0, OUTPUT_LIMIT))
    } catch (error) {
      const { kind, message, details } = toGantryError(error)
      // `conflict`: the request was sent again to a service that had run it and then was restarted.
      return typeof details?.['exitCode'] !== 'number' && (kind === 'unavailable' || kind === 'conflict')
        ? undefined
        : result(-1, message)
    } finally {
      limit.abort()
      this.#probes.delete(execId)
    }
  }
}

async function collect(ref: StreamRef, output: Buffer[]): Promise<void> {
  // Loaded by the first health check: most engines have none.
  const { openStream } = await import('../../../shared/streams/index.ts')
  let size = 0
  for await (const frame of openStream(ref).frames) {
    if (frame.channel !== CHANNEL.stdout && frame.channel !== CHANNEL.stderr) continue
    if (size < OUTPUT_LIMIT) output.push(Buffer.from(frame.data))
    size += frame.data.length
  }
}

function record(engine: Engine, id: string, result: HealthResult, check: HealthCheck, inStartPeriod: boolean): void {
  const container = engine.containers.get(id)
  const before = container?.state.health
  if (!container || !before) return
  const health = nextHealth(before, result, check.retries, inStartPeriod)
  engine.store.transaction(() => {
    const changed = engine.containers.setState(id, { health })
    if (health.Status !== before.Status) emitContainer(engine.store, changed, `health_status: ${health.Status}`)
  })
}

/** Resolves after `ms` or when aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
