import { isKind } from '../../../shared/errors/index.ts'
import type { Filters } from '../../../shared/contracts/index.ts'
import type { Engine } from '../engine.ts'
import { pruneFilter } from '../views/filters.ts'
import { remove } from './remove.ts'
import type { JobRecord } from './runner.ts'

interface Pruned {
  ContainersDeleted: string[]
  SpaceReclaimed: number
}

/** Removes every container without a process that the filters choose. */
export async function prune(engine: Engine, filters: Filters): Promise<Pruned> {
  const chosen = pruneFilter(filters)
  const bytes: Record<string, number> = {}
  for (const container of engine.containers.all()) {
    const { status } = container.state
    if ((status !== 'created' && status !== 'exited' && status !== 'dead') || !chosen(container)) continue
    try {
      bytes[container.id] = await writtenBytes(engine, container.id)
    } catch (error) {
      notPruned(engine, container.id, error)
    }
  }
  return removeAll(engine, bytes)
}

/** `bytes`: what each of the containers frees. */
function removeAll(engine: Engine, bytes: Readonly<Record<string, number>>, resume?: JobRecord): Promise<Pruned> {
  const spec = { name: 'prune', container: '', arguments: { bytes }, intent: true, resume } as const
  return engine.jobs.run(spec, async (job) => {
    const pruned: Pruned = { ContainersDeleted: [], SpaceReclaimed: 0 }
    for (const [id, freed] of Object.entries(bytes)) {
      try {
        // What recovery does with it comes first.
        if (resume) await engine.locks.run(id, async () => undefined)
        if (!resume || engine.containers.get(id)) await remove(engine, { ref: id, force: false, volumes: false })
        pruned.ContainersDeleted.push(id)
        pruned.SpaceReclaimed += freed
      } catch (error) {
        notPruned(engine, id, error)
      }
    }
    const attributes = { reclaimed: String(pruned.SpaceReclaimed) }
    job.commit(() => engine.store.emit({ type: 'container', action: 'prune', id: '', attributes }), pruned)
    return pruned
  })
}

/** One that cannot go, or that somebody else started or removed meanwhile, does not keep the others. */
const notPruned = (engine: Engine, container: string, error: unknown): void =>
  engine.log.warn({ err: error, container }, 'not pruned')

/** The engine died meanwhile: it goes on. */
export async function recoverPrune(engine: Engine, record: JobRecord): Promise<void> {
  await removeAll(engine, record.arguments['bytes'] as Record<string, number>, record)
}

/** What its removal frees; an earlier attempt may have freed it already. */
async function writtenBytes(engine: Engine, id: string): Promise<number> {
  try {
    return (await engine.lower.storage['rootfs.size']({ id })).rw
  } catch (error) {
    if (isKind(error, 'not-found')) return 0
    throw error
  }
}
