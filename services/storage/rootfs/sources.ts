import { mkdirSync, statSync } from 'node:fs'
import type { MountRequest } from '../../../shared/contracts/index.ts'
import { internal } from '../../../shared/errors/index.ts'
import { sourceMissing, type ResolvedMount } from './mounts.ts'

/** A bind's source must be there at once, unless it is to be made when the container starts. */
export function checkSource(request: MountRequest): void {
  if (request.type !== 'bind' || request.createSource) return
  if (!statSync(request.source, { throwIfNoEntry: false })) throw sourceMissing(request)
}

/** Makes the source of a bind that starts now, if it may; `invalid` when it is missing. */
export function makeSource(mount: ResolvedMount): void {
  if (statSync(mount.source, { throwIfNoEntry: false })) return
  if (!mount.createSource) throw sourceMissing(mount)
  try {
    mkdirSync(mount.source, { recursive: true, mode: 0o755 })
  } catch (error) {
    throw internal(`error while creating mount source path '${mount.source}': ${(error as Error).message}`, {
      cause: error,
    })
  }
}
