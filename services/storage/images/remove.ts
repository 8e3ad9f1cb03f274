import type { Json } from '../../../shared/contracts/index.ts'
import { conflict } from '../../../shared/errors/index.ts'
import type { DriverSet, StorageDriver } from '../../../shared/drivers/index.ts'
import type { LayerStore } from '../layers/store.ts'
import type { LayerRow } from '../layers/rows.ts'
import {
  familiar,
  idPrefixOf,
  parseReference,
  repositoryOf,
  withDefaultTag,
  type Reference,
} from '../references/reference.ts'
import { shortId, type ImageRow, type ImageStore } from './store.ts'

export interface RemoveRequest {
  readonly ref: string
  readonly force: boolean
  readonly noPrune: boolean
}

export interface Removal {
  /** Docker's records: `{Untagged}` and `{Deleted}`, in order. */
  readonly records: Json[]
  readonly layers: LayerRow[]
}

interface Conflict {
  readonly message: string
  /** Not even with force. */
  readonly hard: boolean
  /** A container is the reason. */
  readonly used: boolean
}

/** Removal of images with Docker's rules and words. */
export class ImageRemover {
  readonly #images: ImageStore
  readonly #layers: LayerStore
  readonly #drivers: DriverSet<StorageDriver>

  constructor(images: ImageStore, layers: LayerStore, drivers: DriverSet<StorageDriver>) {
    this.#images = images
    this.#layers = layers
    this.#drivers = drivers
  }

  async remove({ ref, force, noPrune }: RemoveRequest): Promise<Removal> {
    const image = this.#images.resolve(ref)
    const removal: Removal = { records: [], layers: [] }
    const byName = !isIdOf(image.id, ref)
    if (byName) {
      this.#untagOne(image, ref, force, removal)
      if (this.#images.references(image.id).length > 0) return removal
    } else if (isSingle(this.#images.references(image.id))) {
      const found = await this.#conflict(image.id, { soft: !force, references: false })
      if (found) throw describe(image.id, found)
      this.#untagAll(image, removal)
    }
    await this.#delete(image, { force, prune: !noPrune, quiet: byName }, removal)
    return removal
  }

  #untagOne(image: ImageRow, text: string, force: boolean, removal: Removal): void {
    const names = this.#images.references(image.id)
    const user = force || !isSingle(names) ? undefined : this.#images.users(image.id)[0]
    if (user) {
      throw conflict(
        `conflict: unable to remove repository reference "${text}" (must force) - container ${shortId(user.id)} is using its ` +
          `referenced image ${shortId(image.id)}`,
      )
    }
    const given = withDefaultTag(parseReference(text))
    const { tag: _, ...byDigest } = given
    const name = given.digest === undefined ? given : byDigest
    this.#untag(image, name, removal)
    const repository = repositoryOf(name)
    const rest = this.#images.references(image.id).filter((other) => repositoryOf(other) === repository)
    // The last tag of a repository takes the repository's digests along.
    if (name.digest === undefined && rest.every((other) => other.digest !== undefined)) {
      for (const other of rest) this.#untag(image, other, removal)
    }
  }

  #untagAll(image: ImageRow, removal: Removal): void {
    for (const name of this.#images.references(image.id)) this.#untag(image, name, removal)
  }

  #untag(image: ImageRow, name: Reference, removal: Removal): void {
    this.#images.untag(image.id, name)
    removal.records.push({ Untagged: familiar(name) })
  }

  async #delete(
    image: ImageRow,
    how: { force: boolean; prune: boolean; quiet: boolean },
    removal: Removal,
  ): Promise<void> {
    const found = await this.#conflict(image.id, { soft: !how.force, references: !how.force })
    if (found) {
      // The name is gone, which was asked for; that the image has to stay is worth an error only if it dangles for no visible reason.
      if (how.quiet && (this.#images.references(image.id).length > 0 || found.used)) return
      throw describe(image.id, found)
    }
    this.#untagAll(image, removal)
    this.#images.delete(image.id)
    removal.records.push({ Deleted: image.id })
    const layers = await this.#layers.sweep(image.layer)
    removal.layers.push(...layers)
    for (const layer of layers) removal.records.push({ Deleted: layer.chain_id })
    const parent = how.prune && image.parent !== null ? this.#images.get(image.parent) : undefined
    if (parent && this.#images.references(parent.id).length === 0) {
      await this.#delete(parent, { force: false, prune: true, quiet: true }, removal)
    }
  }

  async #conflict(id: string, check: { soft: boolean; references: boolean }): Promise<Conflict | undefined> {
    if (this.#images.children(id).length > 0) {
      return { message: 'image has dependent child images', hard: true, used: false }
    }
    const users = this.#images.users(id)
    for (const user of users) {
      if (!(await this.#drivers.get(user.driver).mounted(user.id))) continue
      return { message: `image is being used by running container ${shortId(user.id)}`, hard: true, used: true }
    }
    if (check.references && this.#images.references(id).length > 0) {
      return { message: 'image is referenced in multiple repositories', hard: false, used: false }
    }
    const stopped = users[0]
    if (!check.soft || !stopped) return undefined
    return { message: `image is being used by stopped container ${shortId(stopped.id)}`, hard: false, used: true }
  }
}

const describe = (id: string, { hard, message }: Conflict): Error =>
  conflict(`conflict: unable to delete ${shortId(id)} (${hard ? 'cannot be forced' : 'must be forced'}) - ${message}`)

/** Whether what the user wrote is (the beginning of) the id, and not a name. */
const isIdOf = (id: string, text: string): boolean => {
  const prefix = idPrefixOf(text)
  return prefix !== undefined && id.startsWith(`sha256:${prefix}`)
}

/** One name at most, or one tag and digests of the same repository. */
function isSingle(names: readonly Reference[]): boolean {
  if (names.length <= 1) return true
  const tags = names.filter((name) => name.digest === undefined)
  return tags.length <= 1 && new Set(names.map(repositoryOf)).size === 1
}
