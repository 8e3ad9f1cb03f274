import { invalid } from '../../../shared/errors/index.ts'

/** The Docker Engine API versions that are served. Minor numbers are compared: the major one has always been 1. */
export const MAX_API = 51
export const MIN_API = 24
export const apiText = (minor: number): string => `1.${minor}`

const PREFIX = /^\/v(\d+(?:\.\d+)*)(?=\/|$)/

/** The path without its version prefix: `/v1.43/info?x=1` is routed as `/info?x=1`. */
export const stripVersion = (url: string): string => {
  const rest = url.replace(PREFIX, '')
  return rest.startsWith('/') ? rest : `/${rest}`
}

/**
 * The minor API version that a URL asks for; without a prefix the newest one.
 * @throws invalid, in the Docker daemon's words, for a version that is not served
 */
export function versionOf(url: string): number {
  const asked = PREFIX.exec(url)?.[1]
  if (asked === undefined) return MAX_API
  const [major = 0, minor = 0] = asked.split('.').map(Number)
  if (major > 1 || (major === 1 && minor > MAX_API)) {
    throw invalid(`client version ${asked} is too new. Maximum supported API version is ${apiText(MAX_API)}`)
  }
  if (major < 1 || minor < MIN_API) {
    throw invalid(
      `client version ${asked} is too old. Minimum supported API version is ${apiText(MIN_API)}, ` +
        'please upgrade your client to a newer version',
    )
  }
  return minor
}
