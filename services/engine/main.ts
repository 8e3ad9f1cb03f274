import { setTimeout as sleep } from 'node:timers/promises'
import { engineContract, type EngineContract } from '../../shared/contracts/index.ts'
import type { ServiceModule } from '../../shared/service/module.ts'
import { createEngine, type Engine } from './engine.ts'
import { hear } from './facts.ts'
import { createHandlers } from './handlers.ts'
import { migrations } from './migrations.ts'
import { begin } from './recovery/beginning.ts'
import { recoverJobs } from './recovery/jobs.ts'
import { reconcileAll, resume } from './recovery/reconcile.ts'

/** How long recovery may hold up readiness: a lower service that is down must not keep the engine down. */
const RECOVERY_WAIT_MS = 3000
/** How long a drain waits for work under way. */
const DRAIN_MS = 5000

/** The engine service: containers, their names, their jobs, and the order of steps of all that happens to them. */
export const service: ServiceModule<EngineContract> = {
  contract: engineContract,
  migrations,
  async start(context) {
    const engine = createEngine(context)
    // What clients were shown before this process was there may be old.
    const changed = () => context.bus.tellChange('engine')
    engine.containers.onChange(changed)
    engine.execs.onChange(changed)
    changed()
    const recovered = recover(engine)
    await Promise.race([recovered, sleep(RECOVERY_WAIT_MS, undefined, { ref: false })])
    const facts = await context.bus.onFacts(
      'engine',
      (name, fact) => hear(engine, name, fact),
      () => void reconcileAll(engine),
    )
    return {
      handlers: createHandlers(engine),
      warnings: () => [],
      drivers: () => [],
      drain: () => engine.stopping.abort(),
      async stop() {
        engine.stopping.abort()
        engine.restarter.stop()
        engine.health.stop()
        await facts.stop()
        await Promise.race([engine.locks.idle(), sleep(DRAIN_MS, undefined, { ref: false })])
      },
    }
  },
}

/** Interrupted jobs first (they take their containers' locks at once), then what begins or goes on, and the comparison with the services below. */
export async function recover(engine: Engine): Promise<void> {
  const jobs = recoverJobs(engine).catch((error: unknown) =>
    engine.log.error({ err: error }, 'recovery of jobs failed'),
  )
  begin(engine)
  resume(engine)
  await Promise.all([jobs, reconcileAll(engine)])
}
