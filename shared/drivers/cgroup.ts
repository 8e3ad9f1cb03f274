import type { GroupStats, Resources } from '../contracts/index.ts'
import type { CgroupFs } from '../kernel/cgroupfs.ts'
import type { Driver, DriverContext, DriverModule, DriverState } from './driver.ts'

/**
 * A cgroup driver keeps one group a container.
 *
 * Lifecycle: `create` -> (`update`, `save`/`restore`, `stats`, `freeze`/`thaw`, `kill`, `pids`)* -> `remove`. A group is named by its `path`, below the
 * mount point of every hierarchy that it is in (`/gantry/<id>`). All verbs are idempotent: creating what is there sets its limits
 * again, removing what is missing is no error. `check` changes nothing.
 *
 * The OCI runtime joins the container's process: it finds the group by `runtimePath`, keeps the limits that are set (its own
 * configuration names none), and sets the device rules. The runtime may remove the directories when it deletes the container.
 *
 * Example: `create('/gantry/<id>', {Memory: 67108864})` makes the directory `gantry/<id>` in each v1 hierarchy and writes
 * 67108864 to memory.limit_in_bytes there.
 *
 * Capabilities: `version` (1 | 2), `systemd` (boolean: the runtime must be told to use it), `premade` (boolean: the group is
 * there, with its limits, before its first process; otherwise the runtime makes it, see `runtimeResources`); what this kernel has, known after `probe`: `memory`, `swap`,
 * `reservation`, `swappiness`, `oomKillDisable`, `kernelMemoryTcp`, `pids`, `cpu` (shares), `cpuCfs`, `cpuRealtime`, `cpuset`, `blkio`
 * (throttles), `blkioWeight`, `blkioWeightDevice`, `hugetlb`, `freezer`, `oomEvents` (booleans).
 */
export interface CgroupDriver extends Driver {
  /**
   * Refuses impossible limits (`invalid`, naming the option); returns warnings for those this kernel cannot keep: these are left out.
   * `update`: `resources` are changes to limits that are set.
   */
  check(resources: Resources, update: boolean): readonly string[]
  /**
   * The path of a container's group under a parent ('' for the engine's own). `invalid` for a parent that cannot be one.
   */
  pathFor(id: string, parent: string): string
  /** linux.cgroupsPath for the OCI runtime. */
  runtimePath(path: string): string
  /**
   * The limits that the runtime must set when it joins the process, as linux.resources of the OCI runtime specification; undefined
   * where the group has them already. (A systemd scope does not exist before its first process, and there are runtimes that take
   * limits off which they are not told of.)
   */
  runtimeResources(resources: Resources): Readonly<Record<string, unknown>> | undefined
  /** What `create` would have to make above the group, outermost first: names that `removeParents` understands. */
  missingParents(path: string): readonly string[]
  /** Removes those of its earlier answers that are empty now; returns those that are left because they are in use. */
  removeParents(names: readonly string[]): Promise<readonly string[]>
  create(path: string, resources: Resources): Promise<void>
  /**
   * `resources` are all limits that shall hold from now on, earlier ones included. All or none: on failure the earlier values are
   * put back. `not-found` when there is no such group.
   */
  update(path: string, resources: Resources): Promise<void>
  /**
   * What an `update` to these resources would change, as the kernel has it now, limits that nobody set too. `not-found` when there is
   * no such group.
   */
  save(path: string, resources: Resources): Promise<DriverState>
  /** Puts back what `save` found, also when the `update` in between was done in part only. A group that is gone is no error. */
  restore(path: string, saved: DriverState): Promise<void>
  /** Kills what is left in it and removes it with all groups below. `conflict`, naming the pids, when they do not die within 10 s. */
  remove(path: string): Promise<void>
  exists(path: string): Promise<boolean>
  /** One sample of each in one pass; groups that are gone are left out. */
  stats(paths: readonly string[]): Promise<ReadonlyMap<string, GroupStats>>
  /** Returns when every process stands still; `conflict` after 10 s, `not-implemented` without a freezer. */
  freeze(path: string): Promise<void>
  thaw(path: string): Promise<void>
  /** SIGKILL to every process in it and below; also to frozen ones, and to those forked meanwhile. */
  kill(path: string): Promise<void>
  /** Host pids in it and below, ascending. */
  pids(path: string): Promise<readonly number[]>
  /** How many processes in it and below the OOM killer has killed; none when the group is gone. */
  oomKills(path: string): Promise<OomKills>
  /**
   * Calls `told` with the new count soon after the OOM killer was at work in `path`, until the returned function is called.
   */
  watchOom(path: string, told: (kills: OomKills) => void): () => void
  /** Groups right under the engine's own parent, by path, for recovery. */
  list(): Promise<readonly string[]>
}

/** What the OOM killer did in a group and below. */
export interface OomKills {
  readonly total: number
  /** By the path of the group that the killed process was in, as far as the kernel tells; groups that are gone are not in it. */
  readonly groups: ReadonlyMap<string, number>
}

export interface CgroupDriverContext extends DriverContext {
  /** Where the hierarchies are mounted, normally /sys/fs/cgroup; tests point it at a recorded tree. */
  readonly root: string
  /** The engine's own parent group, for example `/gantry`. */
  readonly parent: string
  /** The kernel's by default. */
  readonly fs?: CgroupFs
}

export type CgroupDriverModule = DriverModule<CgroupDriver, CgroupDriverContext>
