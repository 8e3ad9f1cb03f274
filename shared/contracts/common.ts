import Type, { type Static } from 'typebox'

/** Fields of Docker's API that pass through unread: their owner checks them. */
export const Json = Type.Record(Type.String(), Type.Unknown())
export type Json = Static<typeof Json>

export const Labels = Type.Record(Type.String(), Type.String())

/** A container, exec, network or job id: 64 hex digits, chosen by the caller. */
export const Id = Type.String({ pattern: '^[a-f0-9]{64}$' })

/** What a user may name a thing by: full id, unique id prefix, or name. */
export const Ref = Type.Object({ ref: Type.String({ minLength: 1 }) })

export const Empty = Type.Object({})

/** Docker's list filters, already decoded: `{label: ['a=b'], status: ['running']}`. */
export const Filters = Type.Record(Type.String(), Type.Array(Type.String()))
export type Filters = Static<typeof Filters>

/** Bytes of each channel that a client has of a stream that broke. */
export const Received = Type.Object({ stdout: Type.Integer({ minimum: 0 }), stderr: Type.Integer({ minimum: 0 }) })
export type Received = Static<typeof Received>

/**
 * The address of a byte stream and the ticket that opens it once (shared/streams). The ticket is void after 60 s
 * or after its first use.
 */
export const StreamRef = Type.Object({ address: Type.String(), ticket: Type.String() })
export type StreamRef = Static<typeof StreamRef>
export const StreamReply = Type.Object({ stream: StreamRef })

/** The common currency of storage, network and exec: a mount in the form of the OCI runtime specification. */
export const Mount = Type.Object({
  type: Type.String(),
  source: Type.String(),
  destination: Type.String(),
  options: Type.Array(Type.String()),
})
export type Mount = Static<typeof Mount>

/** Sent by the engine after it recovered: what is not listed has no owner and is removed. */
export const Keep = Type.Object({ keep: Type.Array(Id) })
export const Removed = Type.Object({ removed: Type.Array(Type.String()) })

/** A driver as `gantry drivers` and /info show it. */
export const DriverInfo = Type.Object({
  kind: Type.String(),
  name: Type.String(),
  version: Type.String(),
  default: Type.Boolean(),
  usable: Type.Boolean(),
  /** Why it cannot run here; present when `usable` is false. */
  reason: Type.Optional(Type.String()),
  capabilities: Type.Record(Type.String(), Type.Unknown()),
})
export type DriverInfo = Static<typeof DriverInfo>

export const Health = Type.Object({
  service: Type.String(),
  pid: Type.Integer(),
  version: Type.String(),
  ready: Type.Boolean(),
  /** Seconds since the process started. */
  uptime: Type.Number(),
  /** What is wrong or missing, for the operator (for example "runc is not installed: apt-get install runc"). */
  warnings: Type.Array(Type.String()),
  drivers: Type.Array(DriverInfo),
})
export type Health = Static<typeof Health>
