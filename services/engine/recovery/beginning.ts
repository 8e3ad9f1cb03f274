import type { Config } from '../../../shared/config/index.ts'
import { readSysctl } from '../../../shared/kernel/sysctl.ts'
import { isAlive } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { removeHeld } from '../jobs/remove.ts'
import { restartsWithEngine } from '../restart/policy.ts'

const KEY = 'began'

/** One life of the machine and of the engine as a whole, in which this service may be started several times. */
const lifeOf = ({ start }: Config): string => `${readSysctl('kernel.random.boot_id')} ${start ?? ''}`

/**
 * When the engine as a whole was started, and not just this service again, containers are started that their policy wants back, some
 * of which a user had stopped; those with AutoRemove that do not run go. That is what Docker does when its daemon starts. It is
 * noted with that, so that it happens once.
 */
export function begin(engine: Engine): void {
  const life = lifeOf(engine.config)
  if (engine.store.meta(KEY) === life) return
  const { containers } = engine
  engine.store.transaction(() => {
    for (const container of containers.all().filter(restartsWithEngine)) {
      containers.setState(container.id, { status: 'restarting', manuallyStopped: false, restartCount: 0 })
    }
    engine.store.setMeta(KEY, life)
  })
  for (const { id, hostConfig } of containers.all()) if (hostConfig.AutoRemove) removeUnlessRuns(engine, id)
}

function removeUnlessRuns(engine: Engine, id: string): void {
  engine.locks
    .run(id, async () => {
      const container = engine.containers.get(id)
      if (container && !isAlive(container)) await removeHeld(engine, id, { volumes: true })
    })
    .catch((error: unknown) => engine.log.warn({ err: error, container: id }, 'could not be removed yet'))
}
