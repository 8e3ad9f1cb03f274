import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTree } from '../../../shared/kernel/tree.ts'
import type { StreamConnection } from '../../../shared/streams/index.ts'
import { readContents } from '../archive/contents.ts'
import type { ArchivedImage } from '../archive/image.ts'
import { Members } from '../archive/members.ts'
import { spoolArchive } from '../archive/spool.ts'
import type { LayerRow } from '../layers/rows.ts'
import { familiar, withDefaultTag } from '../references/reference.ts'
import { chainId } from './config.ts'
import type { ImportContext } from './import.ts'
import { incoming, Progress } from './progress.ts'
import { shortId, type ImageRow } from './store.ts'

export interface LoadContext extends ImportContext {
  readonly tmpDir: string
}

interface LoadedLayers {
  readonly top: LayerRow | undefined
  readonly size: number
  readonly release: () => Promise<void>
}

/** `docker load`: all images of the archive, or none when any part of it is bad. */
export async function loadImages(context: LoadContext, connection: StreamConnection, quiet: boolean): Promise<void> {
  const progress = new Progress(connection)
  const directory = await mkdtemp(join(context.tmpDir, 'load-'))
  const loaded: LoadedLayers[] = []
  try {
    const members = new Members(await spoolArchive(directory, incoming(connection)))
    const found = readContents(members)
    for (const image of found) loaded.push(await loadLayers(context, image, quiet ? undefined : progress))
    const lines = context.store.transaction(() => found.flatMap((image, i) => record(context, image, loaded[i])))
    for (const stream of lines) await progress.send({ stream })
  } finally {
    for (const { release } of loaded) await release()
    await removeTree(directory)
  }
}

/** Makes the layers that are not there yet, from the lowest up. */
async function loadLayers(
  { drivers, layers }: LoadContext,
  image: ArchivedImage,
  progress: Progress | undefined,
): Promise<LoadedLayers> {
  const driver = drivers.default()
  let top: LayerRow | undefined
  let size = 0
  let release = async (): Promise<void> => undefined
  try {
    for (const [i, diffId] of image.diffIds.entries()) {
      const file = image.layers[i]
      if (!file) break
      const there = layers.byChain(driver.manifest.name, chainId(top?.chain_id, diffId))
      const next = there
        ? { layer: there, release: layers.hold(there.id) }
        : await layers.register({ driver, parent: top, source: file.path, diffId, strict: false })
      // The layer holds its parent: from here on, holding the topmost is enough.
      await release()
      ;({ layer: top, release } = next)
      size += top.size
      if (!there)
        await progress?.send({ status: 'Loading layer', progressDetail: done(file.size), id: shortId(diffId) })
    }
    return { top, size, release }
  } catch (error) {
    await release()
    throw error
  }
}

const done = (size: number): { current: number; total: number } => ({ current: size, total: size })

/** Adds the image and its names, in the caller's transaction; answers what to tell the user. */
function record({ drivers, images }: LoadContext, image: ArchivedImage, loaded: LoadedLayers | undefined): string[] {
  const added = images.add({
    config: image.config,
    driver: drivers.default().manifest.name,
    layer: loaded?.top?.id ?? null,
    size: loaded?.size ?? 0,
    ...(image.parent !== undefined && images.get(image.parent) ? { parent: image.parent } : {}),
  })
  const lines = image.names.map(withDefaultTag).flatMap((name) => {
    const before = images.byName(name)
    images.tag(added.id, name, false)
    return [...renamed(before, added, familiar(name)), `Loaded image: ${familiar(name)}\n`]
  })
  images.tell(added.id, 'load', added.id)
  return image.names.length === 0 ? [`Loaded image ID: ${added.id}\n`] : lines
}

const renamed = (before: ImageRow | undefined, now: ImageRow, name: string): string[] =>
  before && before.id !== now.id
    ? [`The image ${name} already exists, renaming the old one with ID ${before.id} to empty string\n`]
    : []
