import { invalid } from '../../../shared/errors/index.ts'
import { diffIdsOf, parseImageConfig, type ImageConfig } from '../images/config.ts'
import type { Reference } from '../references/reference.ts'
import { readSmall } from './members.ts'
import type { SpooledEntry } from './spool.ts'

/** An image found in an archive, its parts checked against each other. */
export interface ArchivedImage {
  readonly config: Buffer
  readonly diffIds: readonly string[]
  /** One file for each diff id, compressed or not. */
  readonly layers: readonly SpooledEntry[]
  readonly names: readonly Reference[]
  /** Id of the image it was built from. */
  readonly parent?: string
}

/** Puts an image together; `invalid` when configuration and layers do not fit, or it is not for Linux. */
export function archivedImage(
  config: SpooledEntry,
  layers: readonly SpooledEntry[],
  names: readonly Reference[],
  parent?: string,
): ArchivedImage {
  const bytes = readSmall(config)
  const parsed = parseImageConfig(bytes)
  const diffIds = diffIdsOf(parsed)
  checkOs(parsed)
  if (diffIds.length !== layers.length) {
    throw invalid(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`)
  }
  return { config: bytes, diffIds, layers, names, ...(parent === undefined ? {} : { parent }) }
}

function checkOs(config: ImageConfig): void {
  const os = config.os || 'linux'
  if (os !== 'linux') throw invalid(`cannot load ${os} image on linux`)
}
