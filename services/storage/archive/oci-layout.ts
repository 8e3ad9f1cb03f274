import Type, { type Static } from 'typebox'
import { invalid } from '../../../shared/errors/index.ts'
import { ARCHITECTURE } from '../images/config.ts'
import { parseReference, withDefaultTag, type Reference } from '../references/reference.ts'
import { archivedImage, type ArchivedImage } from './image.ts'
import { parseJson, readSmall, type Members } from './members.ts'

/** OCI image specification, descriptor.md, manifest.md, image-index.md; Docker's schema 2 has the same members. */
export const Descriptor = Type.Object({
  mediaType: Type.Optional(Type.String()),
  digest: Type.String(),
  size: Type.Integer({ minimum: 0 }),
  annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
  platform: Type.Optional(
    Type.Object({ os: Type.String(), architecture: Type.String(), variant: Type.Optional(Type.String()) }),
  ),
})
export type Descriptor = Static<typeof Descriptor>

const Index = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(Type.String()),
  manifests: Type.Array(Descriptor),
})

const Manifest = Type.Object({
  schemaVersion: Type.Literal(2),
  mediaType: Type.Optional(Type.String()),
  config: Descriptor,
  layers: Type.Array(Descriptor),
})

export const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const

/** Annotations of a descriptor that name the image: containerd's whole name, OCI's name or mere tag. */
export const NAME_ANNOTATION = 'io.containerd.image.name'
export const REF_ANNOTATION = 'org.opencontainers.image.ref.name'

const MAX_NESTING = 4

export function readOciLayout(members: Members): ArchivedImage[] {
  const index = members.json('index.json', Index)
  const byDigest = new Map<string, { descriptor: Descriptor; names: Reference[] }>()
  for (const top of index.manifests) {
    const descriptor = choose(members, top, 0)
    if (!descriptor) continue
    const found = byDigest.get(descriptor.digest) ?? { descriptor, names: [] }
    byDigest.set(descriptor.digest, found)
    found.names.push(...namesOf(top))
  }
  if (byDigest.size === 0) throw invalid('the OCI layout has no image for this platform')
  return [...byDigest.values()].map(({ descriptor, names }) => image(members, descriptor, names))
}

/** The image manifest that a descriptor stands for on this machine; undefined for what is no image (attestations). */
function choose(members: Members, descriptor: Descriptor, depth: number): Descriptor | undefined {
  if (descriptor.annotations?.['vnd.docker.reference.type'] !== undefined) return undefined
  if (descriptor.mediaType !== MEDIA.index && descriptor.mediaType !== MEDIA.dockerList) return descriptor
  if (depth >= MAX_NESTING) throw invalid('the OCI layout has indexes within indexes within indexes')
  const entry = checked(members, descriptor)
  const { manifests } = parseJson(descriptor.digest, readSmall(entry), Index)
  const fits = manifests.filter(({ platform }) => platform?.os === 'linux' && platform.architecture === ARCHITECTURE)
  const chosen = fits[0] ?? manifests.find(({ platform }) => platform === undefined)
  if (!chosen) throw invalid(`no matching manifest for linux/${ARCHITECTURE} in the manifest list entries`)
  return choose(members, chosen, depth + 1)
}

function checked(members: Members, descriptor: Descriptor) {
  const entry = members.blob(descriptor.digest)
  if (entry.size !== descriptor.size) {
    throw invalid(`blob ${descriptor.digest} has ${entry.size} bytes, its descriptor says ${descriptor.size}`)
  }
  return entry
}

function image(members: Members, descriptor: Descriptor, names: readonly Reference[]): ArchivedImage {
  const manifest = parseJson(descriptor.digest, readSmall(checked(members, descriptor)), Manifest)
  const type = manifest.config.mediaType ?? MEDIA.config
  if (type !== MEDIA.config && type !== MEDIA.dockerConfig)
    throw invalid(`${descriptor.digest} is no image but a ${type}`)
  const layers = manifest.layers.map((layer) => checked(members, layer))
  return archivedImage(checked(members, manifest.config), layers, names)
}

function namesOf({ annotations }: Descriptor): Reference[] {
  const whole = annotations?.[NAME_ANNOTATION]
  if (whole !== undefined) return [withDefaultTag(parseReference(whole))]
  // A mere tag (`v1`) does not say of what: such an image has no name here.
  const ref = annotations?.[REF_ANNOTATION] ?? ''
  return /[/:]/.test(ref) ? [withDefaultTag(parseReference(ref))] : []
}
