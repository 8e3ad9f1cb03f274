import { conflict, notFound } from '../../../shared/errors/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import {
  canonical,
  familiar,
  idPrefixOf,
  parseReference,
  repositoryOf,
  withDefaultTag,
  type Reference,
} from '../references/reference.ts'
import { createdAt, digestOf, parseImageConfig, type ImageConfig } from './config.ts'

export interface ImageRow {
  /** `sha256:<hex>` */
  readonly id: string
  readonly config: Uint8Array
  readonly created: number
  readonly driver: string
  readonly layer: string | null
  readonly size: number
  readonly parent: string | null
  readonly tagged: number | null
}

/** What is known of an image besides its configuration's bytes. */
export interface NewImage {
  readonly config: Uint8Array
  readonly driver: string
  readonly layer: string | null
  readonly size: number
  readonly parent?: string
}

/** First 12 hex digits, as messages have ids. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12)

/** Images and their names. Every change tells its event in the same transaction. */
export class ImageStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  all(): ImageRow[] {
    return this.#store.all<ImageRow>('SELECT * FROM images ORDER BY created DESC, id')
  }

  get(id: string): ImageRow | undefined {
    return this.#store.get<ImageRow>('SELECT * FROM images WHERE id = ?', id)
  }

  /** Images without a name that no other was built from; and all of them for `count`. */
  count(): number {
    return this.#store.get<{ n: number }>('SELECT count(*) AS n FROM images')?.n ?? 0
  }

  children(id: string): string[] {
    return this.#store.all<{ id: string }>('SELECT id FROM images WHERE parent = ?', id).map((row) => row.id)
  }

  /** An image's names, canonical, sorted. */
  references(id: string): Reference[] {
    return this.#store
      .all<{ name: string }>('SELECT name FROM refs WHERE image = ? ORDER BY name', id)
      .map((row) => parseReference(row.name))
  }

  /** Containers whose root file system is made from the image. */
  users(id: string): { id: string; driver: string }[] {
    return this.#store.all('SELECT id, driver FROM rootfs WHERE image = ?', id)
  }

  /** Adds an image; one of the same id stays as it is. */
  add(image: NewImage): ImageRow {
    const id = digestOf(image.config)
    this.#store.run(
      'INSERT INTO images (id, config, created, driver, layer, size, parent) VALUES (?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING',
      ...[id, image.config, createdAt(parseImageConfig(image.config)), image.driver],
      ...[image.layer, image.size, image.parent ?? null],
    )
    const row = this.get(id)
    if (!row) throw new Error(`image ${id} was not added`)
    return row
  }

  /** Gives an image a name, which another one may lose by it. */
  tag(id: string, ref: Reference, tell: boolean): void {
    const name = canonical(ref)
    this.#store.transaction(() => {
      const before = this.#store.get<{ image: string }>('SELECT image FROM refs WHERE name = ?', name)?.image
      if (before !== id) {
        this.#store.run(
          'INSERT INTO refs (name, repository, image) VALUES (?,?,?) ON CONFLICT (name) DO UPDATE SET image = excluded.image',
          ...[name, repositoryOf(ref), id],
        )
      }
      this.#store.run('UPDATE images SET tagged = ? WHERE id = ?', Date.now(), id)
      if (tell) this.tell(id, 'tag', familiar(ref))
    })
  }

  untag(id: string, ref: Reference): void {
    this.#store.transaction(() => {
      this.#store.run('DELETE FROM refs WHERE name = ? AND image = ?', canonical(ref), id)
      this.tell(id, 'untag', id)
    })
  }

  /** Deletes the record and its names; the layers are the caller's to sweep. */
  delete(id: string): void {
    this.#store.transaction(() => {
      this.tell(id, 'delete', id)
      this.#store.run('DELETE FROM refs WHERE image = ?', id)
      this.#store.run('UPDATE images SET parent = NULL WHERE parent = ?', id)
      this.#store.run('DELETE FROM images WHERE id = ?', id)
    })
  }

  /** Puts an image's event into the outbox, with its labels, as Docker does. */
  tell(id: string, action: string, name: string): void {
    const row = this.get(id)
    const labels = row ? labelsOf(parseImageConfig(row.config)) : {}
    this.#store.emit({ type: 'image', action, id, attributes: { ...labels, name } })
  }

  /**
   * Finds an image by name, digest, id or unique beginning of an id. `not-found` says "No such image: <name with tag>", an id that
   * several images begin with is a `conflict`, a name that is none is `invalid`.
   */
  resolve(text: string): ImageRow {
    const whole = /^(?:sha256:)?([0-9a-f]{64})$/.exec(text)?.[1]
    if (whole !== undefined) {
      const image = this.get(`sha256:${whole}`)
      if (!image) throw notFound(`No such image: sha256:${whole}`)
      return image
    }
    const ref = withDefaultTag(parseReference(text))
    const image = this.byName(ref) ?? this.#byPrefix(text)
    if (!image) throw notFound(`No such image: ${familiar(ref)}`)
    return image
  }

  /** By name alone; a digest counts more than a tag. */
  byName(ref: Reference): ImageRow | undefined {
    const { tag: _, ...byDigest } = ref
    return this.#store.get<ImageRow>(
      'SELECT images.* FROM refs JOIN images ON images.id = refs.image WHERE refs.name = ?',
      canonical(ref.digest === undefined ? ref : byDigest),
    )
  }

  /** All names of a repository (`docker.io/library/busybox`) with their images. */
  byRepository(repository: string): { row: ImageRow; name: Reference }[] {
    return this.#store
      .all<ImageRow & { name: string }>(
        'SELECT images.*, refs.name FROM refs JOIN images ON images.id = refs.image WHERE refs.repository = ? ORDER BY refs.name',
        repository,
      )
      .map(({ name, ...row }) => ({ row, name: parseReference(name) }))
  }

  #byPrefix(text: string): ImageRow | undefined {
    const prefix = idPrefixOf(text)
    if (prefix === undefined) return undefined
    const found = this.#store.all<ImageRow>(
      'SELECT * FROM images WHERE id >= ? AND id < ? LIMIT 2',
      ...[`sha256:${prefix}`, `sha256:${prefix}g`],
    )
    if (found.length > 1) throw conflict(`image id ${JSON.stringify(text)} is ambiguous: give more digits`)
    return found[0]
  }
}

export function labelsOf(config: ImageConfig): Record<string, string> {
  const labels = config.config?.['Labels']
  return labels !== null && typeof labels === 'object' ? (labels as Record<string, string>) : {}
}
