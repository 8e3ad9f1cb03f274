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
      const { rw } = await engine.lower.storage['rootfs.size']({ id: container.id })
      await remove(engine, { ref: container.id, force: false, volumes: false })
      result.ContainersDeleted.push(container.id)
      result.SpaceReclaimed += rw
    } catch (error) {
      // Started or removed by somebody else meanwhile.
      if (!isKind(error, 'conflict') && !isKind(error, 'not-found')) throw error
    }
  }
  return result
}
