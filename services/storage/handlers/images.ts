import type { Handlers, StorageContract } from '../../../shared/contracts/index.ts'
import { importImage, planImport } from '../images/import.ts'
import { imageHistory, inspectImage } from '../images/inspect.ts'
import { listImages } from '../images/list.ts'
import { loadImages } from '../images/load.ts'
import { pruneImages } from '../images/prune.ts'
import { planSave, saveImages } from '../images/save.ts'
import { parseImageConfig } from '../images/config.ts'
import { referenceOf } from '../references/reference.ts'
import type { Parts } from './parts.ts'

type Names = `image.${string}` & keyof Handlers<StorageContract>

export function imageHandlers(parts: Parts): Pick<Handlers<StorageContract>, Names> {
  const { images, layers, drivers, streams } = parts
  return {
    'image.list': async (request) => listImages(images, request),
    'image.inspect': async ({ ref }) => inspectImage(images, drivers, images.resolve(ref)),
    'image.history': async ({ ref }) => imageHistory(images, layers, images.resolve(ref)),
    'image.resolve': async ({ ref }) => {
      const image = images.resolve(ref)
      const config = parseImageConfig(image.config)
      return {
        id: image.id,
        config: config.config ?? {},
        os: config.os ?? 'linux',
        architecture: config.architecture ?? '',
      }
    },
    'image.tag': async ({ ref, repo, tag }) => {
      const name = referenceOf(repo, tag)
      images.tag(images.resolve(ref).id, name, true)
      return {}
    },
    'image.remove': async (request) => (await parts.remover.remove(request)).records,
    'image.prune': async ({ filters }) => pruneImages(parts, filters),
    'image.import': async (request) => {
      const plan = planImport(request)
      return { stream: streams.offer((connection) => importImage(parts, plan, connection)) }
    },
    'image.load': async ({ quiet }) => ({
      stream: streams.offer((connection) => loadImages(parts, connection, quiet)),
    }),
    'image.save': async ({ refs }) => {
      const plan = planSave(images, refs)
      return { stream: streams.offer((connection) => saveImages(parts, plan, connection)) }
    },
  }
}
