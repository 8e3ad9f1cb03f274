import Type, { type Static } from 'typebox'
import { GroupStats } from './cgroup.ts'
import { Id } from './common.ts'
import { InterfaceStats } from './network.ts'

/**
 * Samples of live containers, told once a second on `gantry.<node>.stats.<id>` and not stored. Each service that counts tells its own;
 * `source` says whose it is.
 */

/** cpu, memory, pids and blkio counters of a container's cgroup, as in Docker's stats. */
export const CgroupSample = Type.Object({
  source: Type.Literal('cgroup'),
  id: Id,
  ...GroupStats.properties,
})
export type CgroupSample = Static<typeof CgroupSample>

/**
 * Counters of the interfaces of a container's sandbox, by name. Containers that share another's network have none of their own: the
 * owner's are theirs too.
 */
export const NetworkSample = Type.Object({
  source: Type.Literal('network'),
  id: Id,
  /** RFC 3339. */
  read: Type.String(),
  networks: Type.Record(Type.String(), InterfaceStats),
})
export type NetworkSample = Static<typeof NetworkSample>

export const StatsSample = Type.Union([CgroupSample, NetworkSample])
export type StatsSample = Static<typeof StatsSample>
