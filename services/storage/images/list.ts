import type { Filters, Json } from '../../../shared/contracts/index.ts'
import { canonical, familiar, familiarRepository, type Reference } from '../references/reference.ts'
import { parseImageConfig } from './config.ts'
import { booleanFilter, checkFilters, hasLabels, patternToRegExp, untilFilter } from './filters.ts'
import { labelsOf, type ImageRow, type ImageStore } from './store.ts'

const KNOWN = ['dangling', 'label', 'before', 'since', 'reference', 'until']

export interface ListRequest {
  readonly all: boolean
  readonly filters: Filters
}

/** Docker's ImageSummary[], newest first. */
export function listImages(images: ImageStore, { all, filters }: ListRequest): Json[] {
  checkFilters(filters, KNOWN)
  const dangling = booleanFilter(filters, 'dangling')
  const patterns = (filters['reference'] ?? []).map(patternToRegExp)
  const before = bound(images, filters['before'], Math.min)
  const since = bound(images, filters['since'], Math.max)
  const until = untilFilter(filters)
  const summaries: Json[] = []
  for (const image of images.all()) {
    if (before !== undefined && image.created >= before) continue
    if (since !== undefined && image.created <= since) continue
    if (until !== undefined && image.created > until) continue
    const labels = labelsOf(parseImageConfig(image.config))
    if (!hasLabels(labels, filters['label'])) continue
    const names = images.references(image.id)
    if (names.length === 0) {
      if (dangling === false || patterns.length > 0 || (!all && images.children(image.id).length > 0)) continue
      summaries.push(summary(image, labels, []))
    } else {
      const shown = patterns.length === 0 ? names : names.filter((name) => matches(name, patterns))
      if (dangling !== true && shown.length > 0) summaries.push(summary(image, labels, shown))
    }
  }
  return summaries
}

function bound(
  images: ImageStore,
  refs: readonly string[] | undefined,
  pick: (...values: number[]) => number,
): number | undefined {
  if (!refs || refs.length === 0) return undefined
  return pick(...refs.map((ref) => images.resolve(ref).created))
}

const matches = (name: Reference, patterns: readonly RegExp[]): boolean =>
  patterns.some((p) => p.test(familiar(name)) || p.test(familiarRepository(name)) || p.test(canonical(name)))

function summary(image: ImageRow, labels: Readonly<Record<string, string>>, names: readonly Reference[]): Json {
  return {
    Containers: -1,
    Created: Math.floor(image.created / 1000),
    Id: image.id,
    Labels: Object.keys(labels).length === 0 ? null : labels,
    ParentId: image.parent ?? '',
    RepoDigests: names.filter((name) => name.digest !== undefined).map(familiar),
    RepoTags: names.filter((name) => name.digest === undefined).map(familiar),
    SharedSize: -1,
    Size: image.size,
  }
}
