import Type, { type Static } from 'typebox'
import { Empty, Health, Id, Json, Keep, Labels, Removed } from './common.ts'
import { contract, verb } from './verb.ts'

const int = Type.Optional(Type.Integer())
const Throttle = Type.Object({ Path: Type.String(), Rate: Type.Integer() })

/** Docker's HostConfig.Resources, its names and units (bytes, microseconds, nano-CPUs). Absent or 0: no limit. */
export const Resources = Type.Object({
  CpuShares: int,
  CpuPeriod: int,
  CpuQuota: int,
  CpuRealtimePeriod: int,
  CpuRealtimeRuntime: int,
  NanoCpus: int,
  CpusetCpus: Type.Optional(Type.String()),
  CpusetMems: Type.Optional(Type.String()),
  Memory: int,
  MemoryReservation: int,
  /** Memory plus swap; -1: unlimited. */
  MemorySwap: int,
  MemorySwappiness: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
  KernelMemoryTCP: int,
  OomKillDisable: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  PidsLimit: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
  BlkioWeight: int,
  BlkioWeightDevice: Type.Optional(
    Type.Union([Type.Array(Type.Object({ Path: Type.String(), Weight: Type.Integer() })), Type.Null()]),
  ),
  BlkioDeviceReadBps: Type.Optional(Type.Union([Type.Array(Throttle), Type.Null()])),
  BlkioDeviceWriteBps: Type.Optional(Type.Union([Type.Array(Throttle), Type.Null()])),
  BlkioDeviceReadIOps: Type.Optional(Type.Union([Type.Array(Throttle), Type.Null()])),
  BlkioDeviceWriteIOps: Type.Optional(Type.Union([Type.Array(Throttle), Type.Null()])),
  Hugetlb: Type.Optional(Type.Array(Type.Object({ PageSize: Type.String(), Limit: Type.Integer() }))),
})
export type Resources = Static<typeof Resources>

/** One container's sample: the cgroup half of Docker's stats (read by `docker stats`). */
export const GroupStats = Type.Object({
  /** RFC 3339 with nanoseconds. */
  read: Type.String(),
  pids_stats: Type.Object({ current: Type.Number(), limit: Type.Optional(Type.Number()) }),
  cpu_stats: Type.Record(Type.String(), Type.Unknown()),
  memory_stats: Type.Record(Type.String(), Type.Unknown()),
  blkio_stats: Type.Record(Type.String(), Type.Unknown()),
  /** Not Docker's: how many processes the OOM killer has killed in it. */
  oom_kills: Type.Integer(),
})
export type GroupStats = Static<typeof GroupStats>

const one = Type.Object({ id: Id })
const e = ['engine', 'admin'] as const

export const cgroupContract = contract('cgroup', '1.0.0', {
  'group.check': verb({
    summary:
      'Refuses impossible limits and parents (`invalid`, naming the option), and warns of limits this kernel cannot keep.',
    request: Type.Object({
      resources: Resources,
      /** --cgroup-parent, to be checked too; empty for the engine's own. */
      parent: Type.Optional(Type.String()),
    }),
    reply: Type.Object({ warnings: Type.Array(Type.String()) }),
    callers: e,
  }),
  'group.create': verb({
    summary:
      "A container's cgroup with its limits set. Repeating it sets the limits again; for another run it is made anew.",
    request: Type.Object({
      id: Id,
      /** --cgroup-parent; empty for the engine's own. */
      parent: Type.String(),
      resources: Resources,
      /** The run it is for: comes back in the facts about it. */
      instance: Type.Optional(Type.String()),
      labels: Type.Optional(Labels),
    }),
    reply: Type.Object({
      /** For the OCI bundle's linux.cgroupsPath. */
      cgroupsPath: Type.String(),
      driver: Type.String(),
      /** Whether the runtime must use systemd to join it. */
      systemd: Type.Boolean(),
      /**
       * linux.resources for the OCI bundle, besides the device rules: where present the runtime must set these limits. Absent
       * where they are set already.
       */
      resources: Type.Optional(Json),
    }),
    callers: e,
  }),
  'group.delete': verb({
    summary:
      'Kills what is left in it and removes it; says whether the OOM killer was at work. Unknown id is no error.',
    request: one,
    reply: Type.Object({ oomKilled: Type.Boolean() }),
    callers: e,
  }),
  'group.update': verb({
    summary: 'Changes the named limits of a live cgroup; all or none.',
    request: Type.Object({
      id: Id,
      resources: Resources,
      /** The caller's name for it. Asking again with the same name is the same change. */
      change: Type.String(),
    }),
    reply: Empty,
    callers: e,
  }),
  'group.revert': verb({
    summary:
      'Takes the latest change back: limits are what they were before it, those that were not set too. Unknown id or change is no error.',
    request: Type.Object({ id: Id, change: Type.String() }),
    reply: Empty,
    callers: e,
  }),
  'group.stats': verb({
    summary: 'A sample of each; ids without a cgroup are left out.',
    request: Type.Object({ ids: Type.Array(Id) }),
    reply: Type.Record(Type.String(), GroupStats),
    callers: e,
  }),
  'group.freeze': verb({
    summary: 'Stops every process; returns when all stand still.',
    request: one,
    reply: Empty,
    callers: e,
  }),
  'group.thaw': verb({ summary: 'Lets them go on.', request: one, reply: Empty, callers: e }),
  'group.kill': verb({ summary: 'SIGKILL to every process in it.', request: one, reply: Empty, callers: e }),
  'group.pids': verb({
    summary: 'Host pids of all processes in it and below.',
    request: one,
    reply: Type.Object({ pids: Type.Array(Type.Integer()) }),
    callers: e,
  }),
  'group.oom': verb({
    summary: 'Whether the OOM killer has struck in it.',
    request: one,
    reply: Type.Object({ oomKilled: Type.Boolean() }),
    callers: e,
  }),
  'group.reconcile': verb({
    summary: 'Removes the cgroups of containers that are not in `keep`.',
    request: Keep,
    reply: Removed,
    callers: e,
  }),
  info: verb({
    summary: 'What /info shows: driver, version, which limits the kernel has, warnings.',
    request: Empty,
    reply: Type.Object({
      driver: Type.String(),
      version: Type.String(),
      limits: Type.Record(Type.String(), Type.Boolean()),
      warnings: Type.Array(Type.String()),
    }),
    callers: ['gateway', 'engine', 'admin'],
  }),
  health: verb({
    summary: 'Readiness, drivers, warnings.',
    request: Empty,
    reply: Health,
    callers: ['gateway', 'engine', 'admin'],
  }),
})
export type CgroupContract = typeof cgroupContract
