import { randomBytes } from 'node:crypto'
import { invalid } from '../../../shared/errors/index.ts'

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** The label by which clients know a volume without a name of the user's choice. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous'

export const anonymousName = (): string => randomBytes(32).toString('hex')

/** `invalid` in Docker's words. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) throw invalid('volume name is too short, names should be at least two alphanumeric characters')
  if (NAME.test(name) && name.length <= 255) return
  throw invalid(
    `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. ` +
      'If you intended to pass a host directory, use absolute path',
  )
}
