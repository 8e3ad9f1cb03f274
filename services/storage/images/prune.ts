import type { Filters, Json } from '../../../shared/contracts/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { canonical } from '../references/reference.ts'
import { parseImageConfig } from './config.ts'
import { booleanFilter, checkFilters, hasLabels, lacksLabels, untilFilter } from './filters.ts'
import type { ImageRemover, Removal } from './remove.ts'
import { labelsOf, type ImageRow, type ImageStore } from './store.ts'

export interface PrunedImages {
  readonly ImagesDeleted: Json[]
  readonly SpaceReclaimed: number
}

/** Removes images without a tag; with filter `dangling=false` all that no container uses. */
export async function pruneImages(
  { store, images, remover }: { store: Store; images: ImageStore; remover: ImageRemover },
  filters: Filters,
): Promise<PrunedImages> {
  checkFilters(filters, ['dangling', 'label', 'label!', 'until'])
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true
  const until = untilFilter(filters)
  const all: Removal = { records: [], layers: [] }
  for (const image of images.all()) {
    if (until !== undefined && image.created > until) continue
    const labels = labelsOf(parseImageConfig(image.config))
    if (!hasLabels(labels, filters['label']) || !lacksLabels(labels, filters['label!'])) continue
    for (const ref of namesToRemove(images, image, danglingOnly)) {
      const removal = await removeUnused(remover, ref)
      all.records.push(...(removal?.records ?? []))
      all.layers.push(...(removal?.layers ?? []))
    }
  }
  const SpaceReclaimed = all.layers.reduce((sum, layer) => sum + layer.size, 0)
  store.emit({ type: 'image', action: 'prune', id: '', attributes: { reclaimed: String(SpaceReclaimed) } })
  return { ImagesDeleted: all.records, SpaceReclaimed }
}

/** By what an unused image is removed: its names, or its id when it has none. */
function namesToRemove(images: ImageStore, image: ImageRow, danglingOnly: boolean): string[] {
  if (!images.get(image.id)) return []
  const names = images.references(image.id)
  if (names.length === 0) return images.children(image.id).length > 0 ? [] : [image.id]
  if (danglingOnly && names.some((name) => name.digest === undefined)) return []
  return images.users(image.id).length > 0 ? [] : names.map(canonical)
}

async function removeUnused(remover: ImageRemover, ref: string): Promise<Removal | undefined> {
  try {
    return await remover.remove({ ref, force: false, noPrune: false })
  } catch (error) {
    if (isKind(error, 'conflict') || isKind(error, 'not-found')) return undefined
    throw error
  }
}
