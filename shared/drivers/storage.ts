import type { Driver, DriverContext, DriverModule } from './driver.ts'

/**
 * A storage driver keeps layers: read-only ones, each the difference to its parent, and writable ones on top.
 *
 * Lifecycle of a layer from a tar: `createLayer(id, parent)` -> the service extracts the tar into the directory that `prepare`
 * returns -> `commit`. Of a container: `createWritable(id, parent, options)` -> `mount` -> `unmount` -> `remove`. A writable
 * layer may also be committed (unmounted first): it then is a parent like any other.
 *
 * Ids are chosen by the service ([a-z0-9-]+). All verbs are idempotent: making what is there returns it (and finishes what
 * was half made), removing what is missing is no error. The service writes its record of a layer after the driver made it and
 * deletes the record before the driver removes it, so that a crash leaves at most a layer that nobody knows: `recover`,
 * called once at start before any other verb, removes those.
 *
 * Example: overlay2 keeps `<id>/diff` for each layer and mounts `lowerdir=<parents>,upperdir=<id>/diff` on `<id>/merged`.
 *
 * Capabilities: `sharing` (boolean: layers share blocks), `diffFormat` ('overlay' | 'full'): whether the directory of
 * `prepare` takes overlay whiteouts or is the whole tree, `quota` (boolean: the option `size` is kept), `maxDepth` (number:
 * layers that can lie upon each other; 0: any number).
 */
export interface StorageDriver extends Driver {
  /** An empty layer on `parent` (null: the first) for filling. */
  createLayer(id: string, parent: string | null): Promise<void>
  /**
   * The directory to extract the layer's tar into. With diffFormat 'overlay' it holds only this layer's files and a whiteout
   * is a character device 0:0 (an opaque directory has xattr trusted.overlay.opaque=y); with 'full' it holds the parents' content
   * already and a whiteout means delete. Stays readable at that path once committed.
   */
  prepare(id: string): Promise<string>
  /** The layer is complete and will not change. `conflict` when it is mounted. */
  commit(id: string): Promise<void>
  /** A writable layer on top of a committed one (null: of nothing). `options` are --storage-opt; `invalid` names a bad one. */
  createWritable(id: string, parent: string | null, options: Readonly<Record<string, string>>): Promise<void>
  /** Mounts a writable layer and returns the path of the merged tree; a mounted one is left as it is. */
  mount(id: string): Promise<string>
  /** Not mounted is no error, nor is a missing layer. */
  unmount(id: string): Promise<void>
  /** Whether it is mounted now, asked of the kernel; a driver that needs no mount answers whether `mount` was called. */
  mounted(id: string): Promise<boolean>
  /** Unmounts and deletes a layer that has no children; `conflict` when it has. */
  remove(id: string): Promise<void>
  /** Bytes that this layer itself takes: what differs from its parent. */
  size(id: string): Promise<number>
  /** What `docker inspect` shows as GraphDriver.Data; `not-found` for an unknown layer. */
  data(id: string): Promise<Readonly<Record<string, string>>>
  /**
   * Removes what is half made and every layer that is not in `known`, children before parents; returns what it removed. Mounts of
   * known layers stay.
   */
  recover(known: ReadonlySet<string>): Promise<readonly string[]>
  /** Pairs of words for `/info` (DriverStatus), for example `['Backing Filesystem', 'extfs']`. */
  status(): Promise<readonly (readonly [string, string])[]>
}

export type StorageDriverModule = DriverModule<StorageDriver, DriverContext>
