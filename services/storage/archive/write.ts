import { canonical, familiar, type Reference } from '../references/reference.ts'
import { digestOf } from '../images/config.ts'
import type { LayerRow } from '../layers/rows.ts'
import { MEDIA, NAME_ANNOTATION, REF_ANNOTATION, type Descriptor } from './oci-layout.ts'

export interface SavedImage {
  readonly config: Buffer
  readonly names: readonly Reference[]
  readonly layers: readonly LayerRow[]
}

export const blobPath = (content: Buffer): string => `blobs/sha256/${digestOf(content).slice(7)}`

const descriptor = (mediaType: string, content: Buffer): Descriptor => ({
  mediaType,
  digest: digestOf(content),
  size: content.length,
})

const layerDescriptor = (layer: LayerRow): Descriptor => ({
  mediaType: MEDIA.layer,
  digest: layer.diff_id,
  size: layer.tar_size,
})

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

const manifestOf = ({ config, layers }: SavedImage): Buffer =>
  json({
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config: descriptor(MEDIA.config, config),
    layers: layers.map(layerDescriptor),
  })

/** What ties the blobs together, for Docker's readers (manifest.json, repositories) and for OCI's (the rest): name to content. */
export function indexFiles(images: readonly SavedImage[]): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const manifests: Descriptor[] = []
  for (const image of images) {
    const manifest = manifestOf(image)
    files.set(blobPath(manifest), manifest)
    const plain = descriptor(MEDIA.manifest, manifest)
    const annotated = image.names.map((name) => ({
      ...plain,
      annotations: { [NAME_ANNOTATION]: canonical(name), [REF_ANNOTATION]: name.tag ?? '' },
    }))
    manifests.push(...(annotated.length === 0 ? [plain] : annotated))
  }
  files.set('index.json', json({ schemaVersion: 2, mediaType: MEDIA.index, manifests }))
  files.set('manifest.json', json(images.map(dockerManifest)))
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }))
  const repositories = repositoriesOf(images)
  if (Object.keys(repositories).length > 0) files.set('repositories', json(repositories))
  return files
}

const dockerManifest = (image: SavedImage): unknown => ({
  Config: blobPath(image.config),
  RepoTags: image.names.length === 0 ? null : image.names.map(familiar),
  Layers: image.layers.map((layer) => `blobs/sha256/${layer.diff_id.slice(7)}`),
  LayerSources: Object.fromEntries(image.layers.map((layer) => [layer.diff_id, layerDescriptor(layer)])),
})

/** Repository to tag to topmost layer: read by tools older than manifest.json. */
function repositoriesOf(images: readonly SavedImage[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {}
  for (const { names, layers } of images) {
    const top = layers.at(-1)?.diff_id.slice(7)
    for (const name of names) {
      if (name.tag === undefined || top === undefined) continue
      const { tag, ...repository } = name
      const tags = (repositories[familiar(repository)] ??= {})
      tags[tag] = top
    }
  }
  return repositories
}
