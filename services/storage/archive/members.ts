import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { invalid } from '../../../shared/errors/index.ts'
import { MAX_CONFIG } from '../images/config.ts'
import type { SpooledEntry } from './spool.ts'

const MAX_LINKS = 16

/** Lookup of an archive's files by name, links between them followed (they lead to names, never to the disk). */
export class Members {
  readonly #entries: ReadonlyMap<string, SpooledEntry>

  constructor(entries: readonly SpooledEntry[]) {
    this.#entries = new Map(entries.map((entry) => [clean(entry.name), entry]))
  }

  has = (name: string): boolean => this.#entries.has(clean(name))

  /** A file; `invalid` when it is missing. One whose name is a digest must have that digest. */
  file(name: string): SpooledEntry {
    let at = clean(name)
    for (let i = 0; i < MAX_LINKS; i++) {
      const entry = this.#entries.get(at)
      if (!entry) throw invalid(`the archive has no ${JSON.stringify(name)}`)
      if (entry.type === 'file') return verified(at, entry)
      at = clean(entry.type === 'link' ? entry.linkname : posix.join(posix.dirname(at), entry.linkname))
    }
    throw invalid(`the archive's links at ${JSON.stringify(name)} go round in circles`)
  }

  /** The file `blobs/sha256/<hex>` of an OCI layout. */
  blob(digest: string): SpooledEntry {
    if (!/^sha256:[0-9a-f]{64}$/.test(digest))
      throw invalid(`unsupported digest ${JSON.stringify(digest)}: only sha256 is`)
    return this.file(`blobs/sha256/${digest.slice(7)}`)
  }

  json<S extends TSchema>(name: string, schema: S): Static<S> {
    return parseJson(name, readSmall(this.file(name)), schema)
  }
}

const clean = (name: string): string => posix.normalize(`/${name}`).slice(1).replace(/\/$/, '')

function verified(name: string, entry: SpooledEntry): SpooledEntry {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1] ?? /^([0-9a-f]{64})\.json$/.exec(name)?.[1]
  if (hex !== undefined && entry.digest !== `sha256:${hex}`) {
    throw invalid(`${name} in the archive is damaged: its digest is ${entry.digest}`)
  }
  return entry
}

/** The content of a file that must not be large: JSON. */
export function readSmall(entry: SpooledEntry): Buffer {
  if (entry.size > MAX_CONFIG)
    throw invalid(`${JSON.stringify(entry.name)} in the archive is too large: ${entry.size} bytes`)
  return readFileSync(entry.path)
}

export function parseJson<S extends TSchema>(name: string, bytes: Buffer, schema: S): Static<S> {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch (error) {
    throw invalid(`${name} in the archive is not JSON: ${(error as Error).message}`)
  }
  const compiled = Compile(schema)
  if (compiled.Check(value)) return value
  const problem = [...compiled.Errors(value)].at(-1)
  throw invalid(`${name} in the archive is not valid: ${problem?.instancePath || '/'} ${problem?.message ?? ''}`)
}
