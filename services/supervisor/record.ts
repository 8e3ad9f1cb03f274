import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { ProcessIdentity } from './identity.ts'
import type { ServiceName } from './paths.ts'

/**
 * `starting`: runs, has not yet reported ready. `ready`: has. `failed`: ended by itself and is started again after a pause.
 * `stopped`: ended because it was told to.
 */
export type ChildState = 'starting' | 'ready' | 'failed' | 'stopped'

/** One supervised process (nats-server, a service, or all services in one). */
export interface ChildRecord {
  readonly name: string
  readonly state: ChildState
  readonly process?: ProcessIdentity
  /** How often it was started again. */
  readonly restarts: number
  /** Why it last ended by itself. */
  readonly reason?: string
}

/** What `gantry up` keeps in <run>/supervisor.json: who runs, so that a later `up`, `down` or `status` finds them. */
export interface SupervisorRecord {
  readonly supervisor: ProcessIdentity
  readonly mode: 'processes' | 'single-process'
  readonly nats: ChildRecord
  /** In single-process mode all names have the same process. */
  readonly services: Readonly<Record<ServiceName, ChildRecord>>
}

/** The record, or undefined when nothing was started here (or the file is unreadable, which is the same to us). */
export function readRecord(path: string): SupervisorRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SupervisorRecord
  } catch {
    return undefined
  }
}

/** Replaces the record in one step, so that a reader never sees half of one. */
export function writeRecord(path: string, record: SupervisorRecord): void {
  const temporary = `${path}.new`
  writeFileSync(temporary, JSON.stringify(record, null, 1) + '\n', { mode: 0o600 })
  renameSync(temporary, path)
}

export const removeRecord = (path: string): void => rmSync(path, { force: true })

/** Every process of the record but the supervisor: services first, nats-server last. */
export function recordedProcesses(record: SupervisorRecord): ProcessIdentity[] {
  const children = [...Object.values(record.services), record.nats]
  const processes = children.flatMap((child) => (child.process === undefined ? [] : [child.process]))
  return [...new Map(processes.map((process) => [process.pid, process])).values()]
}
