import Type, { type Static } from 'typebox'
import { Empty, Filters, Health, Id, Json, Keep, Labels, Mount, Ref, Removed, StreamReply } from './common.ts'
import { contract, verb } from './verb.ts'

/** A mount that a container asks for (from HostConfig.Binds, HostConfig.Mounts, Config.Volumes). */
export const MountRequest = Type.Object({
  type: Type.Union([Type.Literal('bind'), Type.Literal('volume'), Type.Literal('tmpfs')]),
  /** bind: host path. volume: name, or empty for an anonymous one. tmpfs: empty. */
  source: Type.String(),
  /** Absolute path in the container. */
  target: Type.String(),
  readOnly: Type.Boolean(),
  /** private, rprivate, shared, rshared, slave, rslave; empty for the default (rprivate). */
  propagation: Type.Optional(Type.String()),
  /** bind: make the host directory when it is missing (true for -v, false for --mount). */
  createSource: Type.Optional(Type.Boolean()),
  /** bind: do not take sub-mounts along. */
  nonRecursive: Type.Optional(Type.Boolean()),
  /** Read-only: leave mounts below `source` as they are (absent: they become read-only too). */
  readOnlyNonRecursive: Type.Optional(Type.Boolean()),
  /** volume: do not copy the image's content at `target` into a new volume. */
  noCopy: Type.Optional(Type.Boolean()),
  volumeDriver: Type.Optional(Type.String()),
  volumeOptions: Type.Optional(Labels),
  volumeLabels: Type.Optional(Labels),
  /** tmpfs: mount options as given (`size=64m,mode=1777`). */
  tmpfsOptions: Type.Optional(Type.String()),
  /** The "mode" text of a -v bind, shown in inspect. */
  mode: Type.Optional(Type.String()),
})
export type MountRequest = Static<typeof MountRequest>

/** A container's mount as inspect shows it (Docker's MountPoint). */
export const MountPoint = Type.Object({
  Type: Type.String(),
  Name: Type.Optional(Type.String()),
  Source: Type.String(),
  Destination: Type.String(),
  Driver: Type.Optional(Type.String()),
  Mode: Type.String(),
  RW: Type.Boolean(),
  Propagation: Type.String(),
})
export type MountPoint = Static<typeof MountPoint>

/** What the engine needs to know of an image to make a container from it. */
export const ResolvedImage = Type.Object({
  /** `sha256:<hex>` */
  id: Type.String(),
  /** The OCI image configuration's `config` member, in Docker's spelling (Cmd, Entrypoint, Env, ...). */
  config: Json,
  os: Type.String(),
  architecture: Type.String(),
})

const g = ['gateway', 'admin'] as const
const e = ['engine', 'admin'] as const
const ge = ['gateway', 'engine', 'admin'] as const

export const storageContract = contract('storage', '1.0.0', {
  'image.list': verb({
    summary: 'Images as Docker lists them (ImageSummary[]).',
    request: Type.Object({ all: Type.Boolean(), filters: Filters, digests: Type.Optional(Type.Boolean()) }),
    reply: Type.Array(Json),
    callers: ge,
  }),
  'image.inspect': verb({
    summary: "One image in the form of Docker's ImageInspect; `not-found` names the reference.",
    request: Ref,
    reply: Json,
    callers: ge,
  }),
  'image.history': verb({ summary: 'History, newest first.', request: Ref, reply: Type.Array(Json), callers: g }),
  'image.resolve': verb({
    summary: 'What a container needs of an image; `not-found` says "No such image: <ref>".',
    request: Ref,
    reply: ResolvedImage,
    callers: e,
  }),
  'image.tag': verb({
    summary: 'Gives an image one more name. Repeating it changes nothing.',
    request: Type.Object({ ref: Type.String(), repo: Type.String(), tag: Type.String() }),
    reply: Empty,
    callers: g,
  }),
  'image.remove': verb({
    summary: "Untags, and deletes what no name and no container holds. Reply: Docker's [{Untagged},{Deleted}].",
    request: Type.Object({ ref: Type.String(), force: Type.Boolean(), noPrune: Type.Boolean() }),
    reply: Type.Array(Json),
    callers: g,
  }),
  'image.prune': verb({
    summary: 'Removes dangling (or with filter dangling=false all unused) images.',
    request: Type.Object({ filters: Filters }),
    reply: Type.Object({ ImagesDeleted: Type.Array(Json), SpaceReclaimed: Type.Integer() }),
    callers: g,
    timeoutMs: 300_000,
  }),
  'image.import': verb({
    summary:
      'A root file system as a tar stream (plain, gzip, zstd, bzip2, xz) becomes an image. The client writes the tar on channel 0 and ' +
      'reads progress (one JSON message a line, the last {"status": "sha256:..."}) on channel 1.',
    request: Type.Object({
      repo: Type.String(),
      tag: Type.String(),
      message: Type.String(),
      /** Dockerfile instructions (CMD, ENV, ...), as `docker import -c`. */
      changes: Type.Array(Type.String()),
      platform: Type.Optional(Type.String()),
    }),
    reply: StreamReply,
    callers: g,
  }),
  'image.load': verb({
    summary: 'Images from a `docker save` or OCI archive: tar on channel 0, progress JSON lines on channel 1.',
    request: Type.Object({ quiet: Type.Boolean() }),
    reply: StreamReply,
    callers: g,
  }),
  'image.save': verb({
    summary: 'Images as one tar (docker-archive and OCI layout in one) on channel 1.',
    request: Type.Object({ refs: Type.Array(Type.String(), { minItems: 1 }) }),
    reply: StreamReply,
    callers: g,
  }),
  'rootfs.create': verb({
    summary:
      'A writable layer for container `id` on top of an image, and its volumes (anonymous ones are made). Repeating ' +
      'it with the same id returns what is there.',
    request: Type.Object({
      id: Id,
      image: Type.String(),
      driver: Type.Optional(Type.String()),
      storageOptions: Type.Optional(Labels),
      mounts: Type.Array(MountRequest),
    }),
    reply: Type.Object({
      driver: Type.String(),
      /** One for each of the request's mounts, in their order. */
      mountPoints: Type.Array(MountPoint),
      /** Docker's GraphDriver.Data. */
      data: Labels,
    }),
    callers: e,
    timeoutMs: 120_000,
  }),
  'rootfs.mount': verb({
    summary: 'Mounts the root file system (a mounted one is left as it is) and says which mounts the container gets.',
    request: Type.Object({ id: Id }),
    reply: Type.Object({ path: Type.String(), mounts: Type.Array(Mount) }),
    callers: e,
  }),
  'rootfs.unmount': verb({
    summary: 'Unmounts; not mounted is no error.',
    request: Type.Object({ id: Id }),
    reply: Empty,
    callers: e,
  }),
  'rootfs.remove': verb({
    summary: 'Unmounts and deletes the layer; with `volumes` its anonymous volumes too. Unknown id is no error.',
    request: Type.Object({ id: Id, volumes: Type.Boolean() }),
    reply: Empty,
    callers: e,
    timeoutMs: 120_000,
  }),
  'rootfs.size': verb({
    summary: 'Bytes of the writable layer, and of the whole.',
    request: Type.Object({ id: Id }),
    reply: Type.Object({ rw: Type.Integer(), total: Type.Integer() }),
    callers: e,
  }),
  'rootfs.reconcile': verb({
    summary: 'Removes the layers of containers that are not in `keep`.',
    request: Keep,
    reply: Removed,
    callers: e,
  }),
  'volume.create': verb({
    summary: 'A named volume (Docker Volume). An existing one of that name and driver is returned.',
    request: Type.Object({
      name: Type.String(),
      driver: Type.String(),
      options: Labels,
      labels: Labels,
    }),
    reply: Json,
    callers: g,
  }),
  'volume.list': verb({
    summary: 'Docker Volume[].',
    request: Type.Object({ filters: Filters }),
    reply: Type.Array(Json),
    callers: g,
  }),
  'volume.inspect': verb({ summary: 'Docker Volume.', request: Ref, reply: Json, callers: g }),
  'volume.remove': verb({
    summary: 'Deletes a volume that no container uses; `conflict` names the user.',
    request: Type.Object({ ref: Type.String(), force: Type.Boolean() }),
    reply: Empty,
    callers: g,
  }),
  'volume.prune': verb({
    summary: 'Deletes unused volumes (anonymous only, unless filter all=true).',
    request: Type.Object({ filters: Filters }),
    reply: Type.Object({ VolumesDeleted: Type.Array(Type.String()), SpaceReclaimed: Type.Integer() }),
    callers: g,
  }),
  info: verb({
    summary: 'What /info shows of storage: Images, Driver, DriverStatus.',
    request: Empty,
    reply: Type.Object({
      images: Type.Integer(),
      driver: Type.String(),
      driverStatus: Type.Array(Type.Array(Type.String())),
      root: Type.String(),
    }),
    callers: g,
  }),
  health: verb({ summary: 'Readiness, drivers, warnings.', request: Empty, reply: Health, callers: ge }),
})
export type StorageContract = typeof storageContract
