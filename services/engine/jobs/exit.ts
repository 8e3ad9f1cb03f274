import { isKind, toGantryError } from '../../../shared/errors/index.ts'
import type { FactOf } from '../../../shared/contracts/index.ts'
import { SIGKILL } from '../config/signals.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { uncheckedHealth } from '../health/judge.ts'
import { shouldRestart } from '../restart/policy.ts'
import { restartLater } from './restart.ts'
import { demolish, teardown } from './teardown.ts'
import type { JobRecord, RunningJob } from './runner.ts'

export type Exit = FactOf<'exec.process.exited'>

/**
 * A container's process has ended. Resolves as soon as that is recorded and told (`wait` answers then); the clean-up goes on
 * under the container's lock, so that a start or a removal waits for it. A fact of an earlier run is known by its instance.
 */
export async function exited(engine: Engine, exit: Exit): Promise<void> {
  const recorded = Promise.withResolvers<void>()
  const whole = engine.locks.run(exit.id, async () => {
    const container = engine.containers.get(exit.id)
    if (container && isAlive(container) && container.state.instance === exit.instance) {
      await exitHeld(engine, container, exit, recorded.resolve)
    }
  })
  whole.catch((error: unknown) => engine.log.warn({ err: error, container: exit.id }, 'clean-up after an exit failed'))
  await Promise.race([recorded.promise, whole])
}

async function exitHeld(engine: Engine, container: Container, exit: Exit, recorded: () => void): Promise<void> {
  const { id } = container
  engine.health.forget(id)
  const oomKilled = await wasOomKilled(engine, container, exit.exitCode)
  const forced = engine.removing.get(id)
  const remove = forced !== undefined || (container.hostConfig.AutoRemove === true && !engine.restarting.has(id))
  const volumes = forced?.volumes ?? true
  const restart = !remove && !engine.restarting.has(id) && shouldRestart(engine.containers.find(id), exit.exitCode)
  await engine.jobs
    .run(
      {
        name: 'exit',
        container: id,
        arguments: { instance: exit.instance, exitCode: exit.exitCode, remove, volumes },
        intent: () => recordExit(engine, id, exit, oomKilled, restart),
      },
      async (job) => {
        recorded()
        if (!remove) return cleanUp(engine, job, id)
        await demolish(engine, job, id, volumes)
        job.commit(() => recordRemoval(engine, id))
      },
      (error) => {
        if (remove) recordDead(engine, id, error)
      },
    )
    .finally(() => {
      if (restart) restartLater(engine, id)
    })
}

function recordExit(engine: Engine, id: string, exit: Exit, oomKilled: boolean, restart: boolean): void {
  const { state } = engine.containers.find(id)
  const ended = engine.containers.setState(id, {
    status: restart ? 'restarting' : 'exited',
    pid: 0,
    exitCode: exit.exitCode,
    error: '',
    oomKilled: state.oomKilled || oomKilled,
    finishedAt: exit.finishedAt,
    exits: state.exits + 1,
    restartCount: state.restartCount + (restart ? 1 : 0),
    sandbox: undefined,
    health: uncheckedHealth(state.health),
  })
  const seconds = Math.max(0, Math.floor((Date.parse(exit.finishedAt) - Date.parse(state.startedAt)) / 1000))
  emitContainer(engine.store, ended, 'die', { exitCode: String(exit.exitCode), execDuration: String(seconds) })
}

/** The last transaction of a container's life. */
export function recordRemoval(engine: Engine, id: string): void {
  const container = engine.containers.find(id)
  engine.execs.deleteOf(id)
  engine.containers.delete(container)
  emitContainer(engine.store, container, 'destroy')
}

/** It could not be removed wholly; another attempt may follow. */
export function recordDead(engine: Engine, id: string, error: unknown): void {
  engine.containers.setState(id, { status: 'dead', error: toGantryError(error).message })
}

/** Asks only where it can be: with a memory limit of its own, or after a SIGKILL (a parent may have a limit, too). */
async function wasOomKilled(engine: Engine, container: Container, exitCode: number): Promise<boolean> {
  if (container.state.oomKilled) return true
  if (!container.hostConfig.Memory && exitCode !== 128 + SIGKILL) return false
  try {
    return (await engine.lower.cgroup['group.oom']({ id: container.id })).oomKilled
  } catch (error) {
    engine.log.warn({ err: error, container: container.id }, 'whether the OOM killer was at work is not known')
    return false
  }
}

/** Takes down what the run had. The cgroup service's last word says whether the OOM killer was at work. */
async function cleanUp(engine: Engine, job: RunningJob, id: string): Promise<void> {
  const { oomKilled } = await teardown(engine, job, id)
  if (oomKilled) job.commit(() => engine.containers.setState(id, { oomKilled: true }))
}

/**
 * The OOM killer struck: told, and shown by inspect. A fact may come twice, after its run, or before that is recorded: then the
 * container's lock is waited for.
 */
export async function oom(engine: Engine, fact: FactOf<'cgroup.oom'>): Promise<void> {
  const isOfThisRun = () => engine.containers.get(fact.id)?.state.instance === fact.instance
  if (isOfThisRun()) recordOom(engine, fact)
  else await engine.locks.run(fact.id, async () => (isOfThisRun() ? recordOom(engine, fact) : undefined))
}

function recordOom(engine: Engine, { id, cgroup, total }: FactOf<'cgroup.oom'>): void {
  if (total <= (engine.containers.find(id).state.oomKills ?? 0)) return
  engine.store.transaction(() => {
    const killed = engine.containers.setState(id, { oomKilled: true, oomKills: total })
    emitContainer(engine.store, killed, 'oom', { cgroup })
  })
}

/** The engine died between recording an exit and cleaning up after it. */
export async function recoverExit(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const remove = record.arguments['remove'] === true
  const container = engine.containers.get(id)
  if (container && !isAlive(container)) {
    const again = { name: 'exit', container: id, arguments: record.arguments, intent: true } as const
    await engine.jobs.run(
      again,
      async (job) => {
        if (!remove) return cleanUp(engine, job, id)
        await demolish(engine, job, id, record.arguments['volumes'] === true)
        job.commit(() => recordRemoval(engine, id))
      },
      (error) => {
        // A service that is away is waited for: then it is not over.
        if (remove && !isKind(error, 'unavailable')) recordDead(engine, id, error)
      },
    )
  }
  engine.jobs.close(record, 'done', '')
}
