import type { Json } from '../../../shared/contracts/index.ts'
import { internal } from '../../../shared/errors/index.ts'
import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import type { LayerStore } from '../layers/store.ts'
import { familiar } from '../references/reference.ts'
import { diffIdsOf, parseImageConfig } from './config.ts'
import type { ImageRow, ImageStore } from './store.ts'

/** Go's zero time, which Docker shows for "never". */
const NEVER = '0001-01-01T00:00:00Z'

/** Docker's ImageInspect (API 1.51; what older versions have besides is the gateway's). */
export async function inspectImage(
  images: ImageStore,
  drivers: DriverSet<StorageDriver>,
  image: ImageRow,
): Promise<Json> {
  const config = parseImageConfig(image.config)
  const names = images.references(image.id)
  const data = image.layer === null ? null : await drivers.get(image.driver).data(image.layer)
  return {
    Id: image.id,
    RepoTags: names.filter((name) => name.digest === undefined).map(familiar),
    RepoDigests: names.filter((name) => name.digest !== undefined).map(familiar),
    Parent: image.parent ?? '',
    Comment: config.comment ?? config.history?.at(-1)?.comment ?? '',
    ...(config.created ? { Created: config.created } : {}),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: config.config ?? null,
    Architecture: config.architecture ?? '',
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os ?? '',
    ...(config['os.version'] ? { OsVersion: config['os.version'] } : {}),
    Size: image.size,
    GraphDriver: { Name: image.driver, Data: data },
    RootFS: { Type: 'layers', Layers: [...diffIdsOf(config)] },
    Metadata: { LastTagTime: image.tagged === null ? NEVER : new Date(image.tagged).toISOString() },
  }
}

/** Docker's HistoryResponseItem[], newest first. */
export function imageHistory(images: ImageStore, layers: LayerStore, image: ImageRow): Json[] {
  const config = parseImageConfig(image.config)
  const stack = layers.stack(image.layer)
  let used = 0
  const items = (config.history ?? []).map((entry): Json => {
    const layer = entry.empty_layer ? undefined : stack[used++]
    if (!entry.empty_layer && !layer) throw internal('too many non-empty layers in History section')
    return {
      Comment: entry.comment ?? '',
      Created: entry.created ? Math.floor(Date.parse(entry.created) / 1000) : 0,
      CreatedBy: entry.created_by ?? '',
      Id: '<missing>',
      Size: layer?.size ?? 0,
      Tags: null,
    }
  })
  items.reverse()
  // What each ancestor built on this machine added is known by the ancestor's id.
  let at: ImageRow | undefined = image
  for (const item of items) {
    if (!at) break
    const tags = images.references(at.id).filter((name) => name.tag !== undefined)
    Object.assign(item, { Id: at.id, Tags: tags.length === 0 ? null : tags.map(familiar) })
    at = at.parent === null ? undefined : images.get(at.parent)
  }
  return items
}
