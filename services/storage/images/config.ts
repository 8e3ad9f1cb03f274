import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { invalid } from '../../../shared/errors/index.ts'
import { lazy } from '../../../shared/lazy.ts'

const optionalString = Type.Optional(Type.String())

const History = Type.Object({
  created: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  created_by: optionalString,
  author: optionalString,
  comment: optionalString,
  empty_layer: Type.Optional(Type.Boolean()),
})

/**
 * An image's configuration (OCI image specification, config.md; Docker adds the capitalised members of `config`). Members that are
 * not named here are kept: the configuration's bytes are what its id is the digest of.
 */
export const ImageConfig = Type.Object({
  architecture: optionalString,
  os: optionalString,
  variant: optionalString,
  'os.version': optionalString,
  author: optionalString,
  comment: optionalString,
  created: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  docker_version: optionalString,
  config: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  rootfs: Type.Object({
    type: Type.Literal('layers'),
    diff_ids: Type.Optional(Type.Union([Type.Array(Type.String({ pattern: '^sha256:[a-f0-9]{64}$' })), Type.Null()])),
  }),
  history: Type.Optional(Type.Union([Type.Array(History), Type.Null()])),
})
export type ImageConfig = Static<typeof ImageConfig>
export type HistoryEntry = Static<typeof History>

/** Longest configuration that is believed. */
export const MAX_CONFIG = 8 * 1024 * 1024

const form = lazy(() => Compile(ImageConfig))

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Parses and checks a configuration; `invalid` says what is wrong with it. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString())
  } catch (error) {
    throw invalid(`the image configuration is not JSON: ${(error as Error).message}`)
  }
  const compiled = form()
  if (compiled.Check(value)) return value
  const problem = [...compiled.Errors(value)].at(-1)
  throw invalid(`the image configuration is not valid: ${problem?.instancePath || '/'} ${problem?.message ?? ''}`)
}

export const diffIdsOf = (config: ImageConfig): readonly string[] => config.rootfs.diff_ids ?? []

/** When it was made, in milliseconds; 0 when it does not say. */
export function createdAt(config: ImageConfig): number {
  const ms = config.created ? Date.parse(config.created) : NaN
  return Number.isNaN(ms) ? 0 : ms
}

/** Digest of a layer and all below it (OCI image specification, "Layer ChainID"). */
export const chainId = (parent: string | undefined, diffId: string): string =>
  parent === undefined ? diffId : digestOf(`${parent} ${diffId}`)

/** Go's architecture name for the machine that this runs on. */
export const ARCHITECTURE =
  ({ x64: 'amd64', arm64: 'arm64', ia32: '386', arm: 'arm' } as Record<string, string>)[process.arch] ?? process.arch
