import type { Resources } from '../../shared/contracts/index.ts'
import type { DriverState } from '../../shared/drivers/index.ts'
import type { Store } from '../../shared/store/index.ts'

export const migrations = [
  `CREATE TABLE groups (
     id TEXT PRIMARY KEY,
     path TEXT NOT NULL,
     driver TEXT NOT NULL,
     resources TEXT NOT NULL,
     created INTEGER NOT NULL,
     oom INTEGER NOT NULL DEFAULT 0,
     deleted INTEGER
   ) STRICT;
   CREATE TABLE parents (name TEXT NOT NULL, driver TEXT NOT NULL, PRIMARY KEY (driver, name)) STRICT;`,
  // How much of `oom` has been told.
  'ALTER TABLE groups ADD COLUMN told INTEGER NOT NULL DEFAULT 0',
  // The run that a group is for, and in which group the last OOM kill was.
  `ALTER TABLE groups ADD COLUMN instance TEXT NOT NULL DEFAULT '';
   ALTER TABLE groups ADD COLUMN oom_cgroup TEXT NOT NULL DEFAULT '';`,
  // The latest change of limits (JSON), with what was before it.
  'ALTER TABLE groups ADD COLUMN change TEXT',
]

/** A change of a group's limits: written before the kernel's are changed. */
export interface Change {
  /** The caller's name for it. */
  readonly name: string
  readonly done: boolean
  /** What was before it: the limits that were set, and the driver's own view of the group. */
  readonly resources: Resources
  readonly saved: DriverState
}

/** A container's group. The row is there before the kernel's, and a while after it. */
export interface Group {
  readonly id: string
  /** The caller's name for the run. */
  readonly instance: string
  readonly path: string
  readonly driver: string
  readonly resources: Resources
  /** ms; tells one group of a container from the next. */
  readonly created: number
  /** OOM kills seen so far. */
  readonly oom: number
  readonly change?: Change | undefined
}

/** An OOM kill whose fact is not known to be stored yet. */
export interface Untold extends Pick<Group, 'id' | 'instance' | 'created' | 'oom'> {
  /** Where it was: the group or one below. */
  readonly cgroup: string
}

interface Row extends Omit<Group, 'resources' | 'change'> {
  readonly resources: string
  readonly change: string | null
}

/** How long a deleted group's answer is remembered, for a caller who asks again. */
const REMEMBER_MS = 10 * 60_000

/** The service's records: groups, and the parent groups that were made for them. */
export class Groups {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  get(id: string): Group | undefined {
    const row = this.#store.get<Row>('SELECT * FROM groups WHERE id = ? AND deleted IS NULL', id)
    return row && decode(row)
  }

  live(): Group[] {
    return this.#store.all<Row>('SELECT * FROM groups WHERE deleted IS NULL').map(decode)
  }

  /** Paths of groups that were deleted not long ago. */
  gone(): string[] {
    return this.#store.all<{ path: string }>('SELECT path FROM groups WHERE deleted IS NOT NULL').map((r) => r.path)
  }

  /** The container whose group is one of `paths`. */
  ownerOf(paths: readonly string[]): string | undefined {
    const sql = `SELECT id FROM groups WHERE deleted IS NULL AND path IN (${paths.map(() => '?').join()})`
    return this.#store.get<{ id: string }>(sql, ...paths)?.id
  }

  /** OOM kills of a group that was deleted not long ago; 0 when unknown. */
  lastOom(id: string): number {
    return this.#store.get<{ oom: number }>('SELECT oom FROM groups WHERE id = ?', id)?.oom ?? 0
  }

  /** What is about to be made. */
  intend(group: Group, parents: readonly string[]): void {
    this.#store.transaction(() => {
      this.#store.run(
        `INSERT INTO groups (id, instance, path, driver, resources, created, oom) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, path = excluded.path, driver = excluded.driver,
           resources = excluded.resources, told = iif(created = excluded.created, told, 0), created = excluded.created,
           oom = excluded.oom, change = NULL, deleted = NULL`,
        ...[
          group.id,
          group.instance,
          group.path,
          group.driver,
          JSON.stringify(group.resources),
          group.created,
          group.oom,
        ],
      )
      for (const name of parents) this.#store.run('INSERT OR IGNORE INTO parents VALUES (?, ?)', name, group.driver)
    })
  }

  /** `change`: the one by which they came to be so, or which is about to be made; undefined: none that could be taken back. */
  setResources(id: string, resources: Resources, change?: Change): void {
    const kept = change === undefined ? null : JSON.stringify(change)
    this.#store.run('UPDATE groups SET resources = ?, change = ? WHERE id = ?', JSON.stringify(resources), kept, id)
  }

  setOom({ id, created, oom, cgroup }: Untold): void {
    this.#store.run(
      'UPDATE groups SET oom = max(oom, ?), oom_cgroup = ? WHERE id = ? AND created = ?',
      ...[oom, cgroup, id, created],
    )
  }

  setTold(id: string, created: number, total: number): void {
    this.#store.run('UPDATE groups SET told = max(told, ?) WHERE id = ? AND created = ?', total, id, created)
  }

  /** Also of groups that are gone. */
  untold(): Untold[] {
    return this.#store.all<Untold>(
      `SELECT id, instance, created, oom, iif(oom_cgroup = '', path, oom_cgroup) AS cgroup FROM groups WHERE told < oom`,
    )
  }

  /** Of parents made for groups of a driver, outermost first. */
  parents(driver: string): string[] {
    const rows = this.#store.all<{ name: string }>('SELECT name FROM parents WHERE driver = ? ORDER BY name', driver)
    return rows.map((r) => r.name)
  }

  /** The group is gone from the kernel, and so are all parents of its driver but `left`. */
  forget(id: string, oom: number, driver: string, left: readonly string[]): void {
    const now = Date.now()
    this.#store.transaction(() => {
      this.#store.run('UPDATE groups SET oom = max(oom, ?), deleted = ? WHERE id = ?', oom, now, id)
      this.#store.run('DELETE FROM groups WHERE deleted < ? AND told >= oom', now - REMEMBER_MS)
      this.#keepParents(driver, left)
    })
  }

  keepParents(driver: string, left: readonly string[]): void {
    this.#store.transaction(() => this.#keepParents(driver, left))
  }

  #keepParents(driver: string, left: readonly string[]): void {
    for (const name of this.parents(driver)) {
      if (!left.includes(name)) this.#store.run('DELETE FROM parents WHERE driver = ? AND name = ?', driver, name)
    }
  }
}

const decode = ({ resources, change, ...row }: Row): Group => ({
  ...row,
  resources: JSON.parse(resources) as Resources,
  change: change === null ? undefined : (JSON.parse(change) as Change),
})
