import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { notFound } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'

/**
 * The driver's directory:
 *
 *     l/<link>            -> ../<id>/diff   short names, so that many fit into one page of mount options
 *     <id>/diff           the layer's files
 *     <id>/link           its short name
 *     <id>/lower          short names of what lies below, topmost first, joined by ":"; it appears last: the layer is complete
 *     <id>/work, merged   of a writable layer
 */
export class Layout {
  readonly root: string
  readonly links: string
  /** Layer -> its parent's link; filled when first needed, kept up afterwards. */
  #parents: Map<string, string> | undefined

  constructor(root: string) {
    this.root = root
    this.links = join(root, 'l')
    mkdirSync(this.links, { recursive: true, mode: 0o700 })
  }

  dir = (id: string): string => join(this.root, id)
  diff = (id: string): string => join(this.root, id, 'diff')
  merged = (id: string): string => join(this.root, id, 'merged')
  work = (id: string): string => join(this.root, id, 'work')

  complete = (id: string): boolean => existsSync(join(this.root, id, 'lower'))

  /** The directory that a short name stands for. */
  resolve = (link: string): string => join(this.links, readlinkSync(join(this.links, link)))

  /** Short names of the layers below, topmost first. */
  lower(id: string): string[] {
    const text = this.#read(id, 'lower')
    return text === '' ? [] : text.split(':')
  }

  #read(id: string, file: string): string {
    try {
      return readFileSync(join(this.root, id, file), 'utf8')
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ENOTDIR')) throw notFound(`no such layer: ${id}`)
      throw error
    }
  }

  /** Makes a layer's directories; with `writable` those for mounting too. A half-made one is made anew. */
  create(id: string, parent: string | null, writable: boolean): void {
    if (this.complete(id)) return
    const lower = parent === null ? [] : [this.#read(parent, 'link'), ...this.lower(parent)]
    this.clear(id)
    mkdirSync(this.dir(id), { mode: 0o710 })
    mkdirSync(this.diff(id), { mode: 0o755 })
    if (parent !== null) this.#inherit(this.diff(parent), this.diff(id))
    if (writable) {
      mkdirSync(this.work(id), { mode: 0o700 })
      mkdirSync(this.merged(id), { mode: 0o700 })
    }
    writeFileSync(join(this.dir(id), 'link'), this.#link(id))
    writeFileSync(join(this.dir(id), 'lower.new'), lower.join(':'))
    renameSync(join(this.dir(id), 'lower.new'), join(this.dir(id), 'lower'))
    if (lower[0] !== undefined) this.#parents?.set(id, lower[0])
  }

  /** Makes the layer's short name. */
  #link(id: string): string {
    for (;;) {
      const link = randomBytes(5).toString('base64url').slice(0, 6)
      try {
        symlinkSync(join('..', id, 'diff'), join(this.links, link))
        return link
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error
      }
    }
  }

  /** The root directory of a merged tree is that of its topmost layer: owner and mode come from below. */
  #inherit(from: string, to: string): void {
    const { mode, uid, gid } = statSync(from)
    if ((mode & 0o7777) !== 0o755) chmodSync(to, mode & 0o7777)
    if (uid !== 0 || gid !== 0) chownSync(to, uid, gid)
  }

  /** Removes a layer's short name. */
  forget(id: string): void {
    // A process that was killed may have left the file empty: `leftovers` finds the name then.
    const link = existsSync(join(this.dir(id), 'link')) ? this.#read(id, 'link') : ''
    if (link !== '') rmSync(join(this.links, link), { force: true })
    this.#parents?.delete(id)
  }

  /** Removes a half-made layer. */
  clear(id: string): void {
    this.forget(id)
    rmSync(this.dir(id), { recursive: true, force: true })
  }

  /** A layer that lies directly on `id`, if there is one. */
  childOf(id: string): string | undefined {
    if (!existsSync(join(this.dir(id), 'link'))) return undefined
    const link = this.#read(id, 'link')
    for (const [child, parent] of this.#index()) if (parent === link) return child
    return undefined
  }

  #index(): Map<string, string> {
    if (this.#parents) return this.#parents
    this.#parents = new Map()
    for (const id of this.ids().filter(this.complete)) {
      const parent = this.lower(id)[0]
      if (parent !== undefined) this.#parents.set(id, parent)
    }
    return this.#parents
  }

  /** All layers there are, half-made ones too. */
  ids(): string[] {
    const entries = readdirSync(this.root, { withFileTypes: true })
    return entries.filter((e) => e.isDirectory() && e.name !== 'l' && !e.name.startsWith('.')).map((e) => e.name)
  }

  /** Puts a layer's directory where `ids` does not see it, to be removed in peace; answers where. */
  discard(id: string): string | undefined {
    this.forget(id)
    const trash = join(this.root, `.removed-${id}-${randomBytes(4).toString('hex')}`)
    try {
      renameSync(this.dir(id), trash)
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined
      throw error
    }
    return trash
  }

  /** What earlier removals left, and short names that lead nowhere. */
  leftovers(): string[] {
    const trash = readdirSync(this.root).filter((name) => name.startsWith('.'))
    const links = readdirSync(this.links).filter((link) => !existsSync(join(this.links, link)))
    return [...trash.map((name) => join(this.root, name)), ...links.map((link) => join(this.links, link))]
  }
}
