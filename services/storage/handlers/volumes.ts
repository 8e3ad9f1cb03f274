import type { Handlers, StorageContract } from '../../../shared/contracts/index.ts'
import { anonymousName } from '../volumes/names.ts'
import { listVolumes } from '../volumes/list.ts'
import { pruneVolumes } from '../volumes/prune.ts'
import type { Parts } from './parts.ts'

type Names = `volume.${string}` & keyof Handlers<StorageContract>

export function volumeHandlers(parts: Parts): Pick<Handlers<StorageContract>, Names> {
  const { volumes } = parts
  return {
    'volume.create': async ({ name, driver, options, labels }) => {
      const anonymous = name === ''
      return volumes.show(await volumes.create({ name: name || anonymousName(), driver, options, labels, anonymous }))
    },
    'volume.list': async ({ filters }) => listVolumes(volumes, filters).map((row) => volumes.show(row)),
    'volume.inspect': async ({ ref }) => volumes.show(volumes.get(ref)),
    'volume.remove': async ({ ref, force }) => {
      await volumes.remove(ref, force)
      return {}
    },
    'volume.prune': ({ filters }) => pruneVolumes(parts, filters),
  }
}
