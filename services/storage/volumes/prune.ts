import type { Filters } from '../../../shared/contracts/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { treeSize } from '../../../shared/kernel/tree.ts'
import type { Store } from '../../../shared/store/index.ts'
import { booleanFilter, checkFilters, hasLabels, lacksLabels } from '../images/filters.ts'
import { listVolumes } from './list.ts'
import { wordsOf } from './rows.ts'
import type { VolumeStore } from './store.ts'

export interface Pruned {
  readonly VolumesDeleted: string[]
  readonly SpaceReclaimed: number
}

/** Removes unused volumes: anonymous ones, with filter `all` the named ones too. */
export async function pruneVolumes(
  { store, volumes }: { store: Store; volumes: VolumeStore },
  filters: Filters,
): Promise<Pruned> {
  checkFilters(filters, ['label', 'label!', 'all'])
  const all = booleanFilter(filters, 'all') ?? false
  const deleted: string[] = []
  let reclaimed = 0
  for (const row of listVolumes(volumes, { dangling: ['true'] })) {
    const labels = wordsOf(row.labels)
    if (!all && row.anonymous === 0) continue
    if (!hasLabels(labels, filters['label']) || !lacksLabels(labels, filters['label!'])) continue
    const size = await treeSize(volumes.path(row))
    try {
      await volumes.remove(row.name, true)
    } catch (error) {
      // A container took it in the meantime.
      if (isKind(error, 'conflict')) continue
      throw error
    }
    deleted.push(row.name)
    reclaimed += size
  }
  store.emit({ type: 'volume', action: 'prune', id: '', attributes: { reclaimed: String(reclaimed) } })
  return { VolumesDeleted: deleted, SpaceReclaimed: reclaimed }
}
