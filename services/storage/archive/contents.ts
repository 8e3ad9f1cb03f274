import { invalid } from '../../../shared/errors/index.ts'
import { readDockerArchive } from './docker-archive.ts'
import type { ArchivedImage } from './image.ts'
import type { Members } from './members.ts'
import { readOciLayout } from './oci-layout.ts'

/** All images of an archive: what `docker save` writes (any version since 1.10), or an OCI image layout. */
export function readContents(members: Members): ArchivedImage[] {
  if (members.has('manifest.json')) return readDockerArchive(members)
  if (members.has('index.json')) return readOciLayout(members)
  throw invalid(
    'the archive is no image archive: it has neither manifest.json (docker save) nor index.json (OCI layout)',
  )
}
