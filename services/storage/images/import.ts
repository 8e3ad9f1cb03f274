import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import type { StreamConnection } from '../../../shared/streams/index.ts'
import { applyChanges, type RunConfig } from '../dockerfile/changes.ts'
import type { LayerStore } from '../layers/store.ts'
import { referenceOf, type Reference } from '../references/reference.ts'
import type { ImageConfig } from './config.ts'
import { parsePlatform, type Platform } from './platform.ts'
import { incoming, Progress } from './progress.ts'
import type { ImageStore } from './store.ts'

export interface ImportRequest {
  readonly repo: string
  readonly tag: string
  readonly message: string
  readonly changes: readonly string[]
  readonly platform?: string
}

/** A request that was found good, before any byte is read. */
export interface ImportPlan {
  readonly reference: Reference | undefined
  readonly config: RunConfig
  readonly platform: Platform
  readonly message: string
}

export function planImport(request: ImportRequest): ImportPlan {
  return {
    reference: request.repo === '' ? undefined : referenceOf(request.repo, request.tag),
    config: applyChanges({}, request.changes),
    platform: parsePlatform(request.platform),
    message: request.message === '' ? 'Imported from -' : request.message,
  }
}

/** An image configuration with one layer. */
export function importedConfig(plan: ImportPlan, diffId: string, now: Date): ImageConfig {
  const created = now.toISOString()
  return {
    ...plan.platform,
    comment: plan.message,
    created,
    config: { ...plan.config },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created, comment: plan.message }],
  }
}

export interface ImportContext {
  readonly store: Store
  readonly drivers: DriverSet<StorageDriver>
  readonly layers: LayerStore
  readonly images: ImageStore
}

/** `docker import`: the tar that arrives on the stream becomes an image of one layer. */
export async function importImage(
  context: ImportContext,
  plan: ImportPlan,
  connection: StreamConnection,
): Promise<void> {
  const { store, drivers, layers, images } = context
  const progress = new Progress(connection)
  const source = progress.counting(incoming(connection), 'Importing')
  const { layer, release } = await layers.register({
    driver: drivers.default(),
    parent: undefined,
    source,
    strict: true,
  })
  try {
    const config = Buffer.from(JSON.stringify(importedConfig(plan, layer.diff_id, new Date())))
    const image = store.transaction(() => {
      const added = images.add({ config, driver: layer.driver, layer: layer.id, size: layer.size })
      images.tell(added.id, 'import', added.id)
      if (plan.reference) images.tag(added.id, plan.reference, true)
      return added
    })
    await progress.send({ status: image.id })
  } finally {
    await release()
  }
}
