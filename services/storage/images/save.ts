import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { CHANNEL, type StreamConnection } from '../../../shared/streams/index.ts'
import { blobPath, indexFiles, type SavedImage } from '../archive/write.ts'
import type { LayerRow } from '../layers/rows.ts'
import type { LayerStore } from '../layers/store.ts'
import { parseReference, repositoryOf, type Reference } from '../references/reference.ts'
import { assembleTar } from '../tar/assemble.ts'
import { encodeHeader, TAR_END, tarPadding } from '../tar/header.ts'
import type { ImageRow, ImageStore } from './store.ts'

export interface SaveContext {
  readonly store: Store
  readonly drivers: DriverSet<StorageDriver>
  readonly layers: LayerStore
  readonly images: ImageStore
}

export interface SavePlan {
  readonly images: readonly { readonly row: ImageRow; readonly names: readonly Reference[] }[]
}

/** Finds the images; a repository without tag stands for all its tags, as in Docker. */
export function planSave(images: ImageStore, refs: readonly string[]): SavePlan {
  const chosen = new Map<string, { row: ImageRow; names: Reference[] }>()
  for (const ref of refs) {
    for (const { row, name } of namedBy(images, ref)) {
      const entry = chosen.get(row.id) ?? { row, names: [] }
      chosen.set(row.id, entry)
      if (name && !entry.names.some((other) => other.tag === name.tag && repositoryOf(other) === repositoryOf(name))) {
        entry.names.push(name)
      }
    }
  }
  return { images: [...chosen.values()] }
}

function namedBy(images: ImageStore, ref: string): { row: ImageRow; name?: Reference }[] {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(ref)) return [{ row: images.resolve(ref) }]
  const parsed = parseReference(ref)
  if (parsed.tag === undefined && parsed.digest === undefined) {
    const all = images.byRepository(repositoryOf(parsed)).filter(({ name }) => name.digest === undefined)
    if (all.length > 0) return all
  }
  const row = images.resolve(ref)
  const isName = images.byName(parsed)?.id === row.id
  return isName && parsed.digest === undefined ? [{ row, name: parsed }] : [{ row }]
}

/** `docker save`: one tar that is a docker-archive and an OCI layout at once, sent on channel 1 while it is made. */
export async function saveImages(context: SaveContext, plan: SavePlan, connection: StreamConnection): Promise<void> {
  const { layers, images, store } = context
  const releases = plan.images.flatMap(({ row }) => (row.layer === null ? [] : [layers.hold(row.layer)]))
  try {
    for await (const chunk of archiveOf(context, plan)) {
      if (connection.closed.aborted) return
      await connection.send(CHANNEL.stdout, chunk)
    }
    store.transaction(() => {
      for (const { row } of plan.images) if (images.get(row.id)) images.tell(row.id, 'save', row.id)
    })
  } finally {
    for (const release of releases) await release()
  }
}

async function* archiveOf(context: SaveContext, plan: SavePlan): AsyncGenerator<Buffer> {
  const written = new Set<string>()
  const saved: SavedImage[] = []
  for (const { row, names } of plan.images) {
    const stack = context.layers.stack(row.layer)
    for (const layer of stack) {
      if (written.has(layer.diff_id)) continue
      written.add(layer.diff_id)
      yield* layerMember(context, layer)
    }
    const config = Buffer.from(row.config)
    yield* tarMember(blobPath(config), config)
    saved.push({ config, names, layers: stack })
  }
  for (const [name, content] of indexFiles(saved)) yield* tarMember(name, content)
  yield TAR_END
}

async function* layerMember({ layers, drivers }: SaveContext, layer: LayerRow): AsyncGenerator<Buffer> {
  yield encodeHeader(`blobs/sha256/${layer.diff_id.slice(7)}`, layer.tar_size)
  const root = await drivers.get(layer.driver).prepare(layer.id)
  const [split, replaced] = [layers.splitPath(layer.id), layers.replacedPath(layer.id)]
  yield* assembleTar({ root, split, replaced, diffId: layer.diff_id })
  yield tarPadding(layer.tar_size)
}

function* tarMember(name: string, content: Buffer): Generator<Buffer> {
  yield encodeHeader(name, content.length)
  yield content
  yield tarPadding(content.length)
}
