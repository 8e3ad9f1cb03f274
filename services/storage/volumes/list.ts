import type { Filters } from '../../../shared/contracts/index.ts'
import { booleanFilter, checkFilters, hasLabels } from '../images/filters.ts'
import { wordsOf, type VolumeRow } from './rows.ts'
import type { VolumeStore } from './store.ts'

/** The volumes that all filters let through, by name. */
export function listVolumes(volumes: VolumeStore, filters: Filters): VolumeRow[] {
  checkFilters(filters, ['dangling', 'name', 'driver', 'label'])
  const dangling = booleanFilter(filters, 'dangling')
  const names = (filters['name'] ?? []).map(matcher)
  return volumes
    .all()
    .filter((row) => dangling === undefined || (volumes.users(row.name).length === 0) === dangling)
    .filter((row) => names.length === 0 || names.some((matches) => matches(row.name)))
    .filter((row) => !filters['driver']?.length || filters['driver'].includes(row.driver))
    .filter((row) => hasLabels(wordsOf(row.labels), filters['label']))
}

/** Docker reads a name filter as a regular expression, or else as a plain part of the name. */
function matcher(pattern: string): (name: string) => boolean {
  try {
    const expression = new RegExp(pattern)
    return (name) => expression.test(name)
  } catch {
    return (name) => name.includes(pattern)
  }
}
