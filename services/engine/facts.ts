import type { FactName, FactOf } from '../../shared/contracts/index.ts'
import type { Engine } from './engine.ts'
import { execEnded } from './execs/sessions.ts'
import { exited, oom } from './jobs/exit.ts'
import { LOWER_SERVICES, type LowerService } from './lower.ts'
import { reconcile } from './recovery/reconcile.ts'

/** What the lower services tell; resolves when it is recorded. A fact may come twice, or late. */
export async function hear(engine: Engine, name: FactName, fact: unknown): Promise<void> {
  switch (name) {
    case 'exec.process.exited':
      return exited(engine, fact as FactOf<'exec.process.exited'>)
    case 'exec.session.exited':
      return execEnded(engine, fact as FactOf<'exec.session.exited'>)
    case 'cgroup.oom':
      return oom(engine, fact as FactOf<'cgroup.oom'>)
    case 'service.ready': {
      const { service, pid } = fact as FactOf<'service.ready'>
      if (!isLower(service)) return
      engine.lower.seen(service, pid)
      reconcile(engine, service).catch((error: unknown) =>
        engine.log.warn({ err: error, service }, 'reconciling with a service that told it was ready failed'),
      )
    }
  }
}

const isLower = (name: string): name is LowerService => LOWER_SERVICES.some((s) => s === name)
