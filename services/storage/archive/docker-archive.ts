import Type from 'typebox'
import { parseReference } from '../references/reference.ts'
import { archivedImage, type ArchivedImage } from './image.ts'
import type { Members } from './members.ts'

/** manifest.json of `docker save`: one member an image, paths within the archive. */
export const DockerManifest = Type.Array(
  Type.Object({
    Config: Type.String({ minLength: 1 }),
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    Layers: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    Parent: Type.Optional(Type.String()),
  }),
)

export function readDockerArchive(members: Members): ArchivedImage[] {
  return members.json('manifest.json', DockerManifest).map((image) =>
    archivedImage(
      members.file(image.Config),
      (image.Layers ?? []).map((name) => members.file(name)),
      (image.RepoTags ?? []).map(parseReference),
      image.Parent || undefined,
    ),
  )
}
