import { isKind } from '../../../shared/errors/index.ts'
import type { Filters } from '../../../shared/contracts/index.ts'
import type { Engine } from '../engine.ts'
import { pruneFilter } from '../views/filters.ts'
import { remove } from './remove.ts'

/** Removes every container without a process that the filters choose. */
export async function prune(
  engine: Engine,
  filters: Filters,
): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }> {
  const chosen = pruneFilter(filters)
  const result = { ContainersDeleted: [] as string[], SpaceReclaimed: 0 }
  for (const container of engine.containers.all()) {
    const { status } = container.state
    if ((status !== 'created' && status !== 'exited' && status !== 'dead') || !chosen(container)) continue
    try {
      const size = await writtenBytes(engine, container.id)
      await remove(engine, { ref: container.id, force: false, volumes: false })
      result.ContainersDeleted.push(container.id)
      result.SpaceReclaimed += size
    } catch (error) {
      // One that cannot go, or that somebody else started or removed meanwhile, does not keep the others.
      engine.log.warn({ err: error, container: container.id }, 'not pruned')
    }
  }
  const attributes = { reclaimed: String(result.SpaceReclaimed) }
  engine.store.emit({ type: 'container', action: 'prune', id: '', attributes })
  return result
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
