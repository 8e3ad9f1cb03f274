import { invalid } from '../../../shared/errors/index.ts'

/**
 * Image references as Docker reads them (github.com/distribution/reference): `busybox` means
 * `docker.io/library/busybox:latest`, and is shown as `busybox:latest`.
 */
export interface Reference {
  /** `docker.io`, `registry:5000`, ... */
  readonly domain: string
  /** `library/busybox` */
  readonly path: string
  readonly tag?: string
  /** `sha256:<hex>` */
  readonly digest?: string
}

const DEFAULT_DOMAIN = 'docker.io'
const OFFICIAL = 'library/'
export const DEFAULT_TAG = 'latest'

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const DOMAIN =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/
const TAG = /^[\w][\w.-]{0,127}$/
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/
const SHA256 = /^sha256:[0-9a-f]{64}$/
const HEX64 = /^[0-9a-f]{64}$/
const MAX_NAME = 255

const bad = (why = ''): Error => invalid(`invalid reference format${why}`)

/** Parses what a user wrote; `invalid` with Docker's words. Neither tag nor digest is added. */
export function parseReference(text: string): Reference {
  if (text === '') throw bad()
  if (HEX64.test(text)) throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`)
  const { name, tag, digest } = split(text)
  const { domain, path } = splitDomain(name)
  if (path === '') throw bad()
  if (path !== path.toLowerCase()) throw bad(`: repository name (${path}) must be lowercase`)
  if (!DOMAIN.test(domain) || !path.split('/').every((c) => COMPONENT.test(c))) throw bad()
  if (path.length > MAX_NAME) throw invalid(`repository name must not be more than ${MAX_NAME} characters`)
  if (tag !== undefined && !TAG.test(tag)) throw bad()
  if (digest !== undefined) checkDigest(digest)
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}

function checkDigest(digest: string): void {
  if (!DIGEST.test(digest)) throw bad()
  if (!digest.startsWith('sha256:')) throw invalid(`unsupported digest algorithm: ${digest}`)
  if (!SHA256.test(digest)) throw invalid(`invalid checksum digest length: ${digest}`)
}

function split(text: string): { name: string; tag: string | undefined; digest: string | undefined } {
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  const rest = at < 0 ? text : text.slice(0, at)
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1)
  return colon < 0
    ? { name: rest, tag: undefined, digest }
    : { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest }
}

/** The first component is a registry when it looks like a host: a dot, a port, `localhost`, or capitals. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase())
  const domain = isHost ? first : DEFAULT_DOMAIN
  const path = isHost ? name.slice(slash + 1) : name
  // Docker Hub's old name, and its short names for official images.
  const hub = domain === 'index.docker.io' ? DEFAULT_DOMAIN : domain
  return { domain: hub, path: hub === DEFAULT_DOMAIN && !path.includes('/') ? OFFICIAL + path : path }
}

/** `docker.io/library/busybox` */
export const repositoryOf = (ref: Reference): string => `${ref.domain}/${ref.path}`

/** With `:latest` when there is neither tag nor digest. */
export const withDefaultTag = (ref: Reference): Reference =>
  ref.tag === undefined && ref.digest === undefined ? { ...ref, tag: DEFAULT_TAG } : ref

/** The whole name: `docker.io/library/busybox:latest`. */
export const canonical = (ref: Reference): string => repositoryOf(ref) + suffix(ref)

/** The name as users see it: `busybox:latest`. */
export const familiar = (ref: Reference): string => familiarRepository(ref) + suffix(ref)

export function familiarRepository(ref: Reference): string {
  if (ref.domain !== DEFAULT_DOMAIN) return repositoryOf(ref)
  const short = ref.path.slice(OFFICIAL.length)
  return ref.path.startsWith(OFFICIAL) && !short.includes('/') ? short : ref.path
}

const suffix = (ref: Reference): string =>
  (ref.tag === undefined ? '' : `:${ref.tag}`) + (ref.digest === undefined ? '' : `@${ref.digest}`)

/** A name to give, from `repo` and `tag` as API parameters have them. `invalid` when it has a digest: those are not given. */
export function referenceOf(repo: string, tag: string): Reference {
  const ref = parseReference(repo)
  if (ref.digest !== undefined) throw invalid('refusing to create a tag with a digest reference')
  return tag === '' ? withDefaultTag(ref) : parseReference(`${repositoryOf(ref)}:${tag}`)
}

/** Full or short image id, with or without `sha256:`; undefined when it cannot be one. */
export function idPrefixOf(text: string): string | undefined {
  const hex = text.startsWith('sha256:') ? text.slice(7) : text
  return /^[0-9a-f]{1,64}$/.test(hex) ? hex : undefined
}
