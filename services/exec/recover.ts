import type { Logger } from '../../shared/log/index.ts'
import type { ExecDrivers } from './drivers.ts'
import type { Processes } from './processes.ts'
import type { ProcessRow, Records, SessionRow } from './records.ts'
import type { Sessions } from './sessions.ts'
import type { SharedMemory } from './shm.ts'

export interface RecoveryDependencies {
  readonly records: Records
  readonly drivers: ExecDrivers
  readonly processes: Processes
  readonly sessions: Sessions
  readonly shm: SharedMemory
  readonly log: Logger
}

/**
 * Brings the records and the machine together after a start: adopts what runs, tells what has ended meanwhile, removes what was
 * half made and what nobody knows.
 */
export async function recover(d: RecoveryDependencies): Promise<void> {
  const { records, drivers, log } = d
  // What cannot be dealt with now must not keep the service from all the rest.
  const tolerant = async (id: string, work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => log.error({ err: error, id }, 'could not be recovered'))
  }
  for (const row of [...records.processes.values()]) await tolerant(row.id, () => recoverProcess(d, row))
  for (const row of [...records.sessions.values()]) await tolerant(row.id, () => recoverSession(d, row))
  for (const driver of drivers.exec.usable()) {
    const found = await driver.list()
    for (const id of found.containers) {
      if (records.processes.get(id)?.runtime === driver.manifest.name) continue
      log.info({ container: id }, 'removing a container that is in no record')
      await tolerant(id, () => driver.remove(id))
    }
    for (const id of found.sessions) {
      const row = records.sessions.get(id)
      if (row?.runtime === driver.manifest.name) continue
      await tolerant(id, () => driver.removeSession(id))
    }
  }
  d.shm.recover((id) => records.processes.has(id))
}

/** The bus may be away for long: the start of the service does not wait until an end is told. */
function later(log: Logger, id: string, recorded: Promise<unknown>): void {
  recorded.catch((error: unknown) => log.error({ err: error, id }, 'an end could not be recorded'))
}

async function recoverProcess(
  { records, drivers, processes, log }: RecoveryDependencies,
  row: ProcessRow,
): Promise<void> {
  if (row.status === 'creating') {
    // Its caller got no answer: nothing must be left of it.
    await drivers.runtime(row.runtime).remove(row.id)
    records.deleteProcess(row.id)
    return
  }
  if (row.status === 'exited') {
    if (!row.told) later(log, row.id, processes.record(row))
    return
  }
  const handle = row.state ? drivers.runtime(row.runtime).recover(row.id, row.state) : undefined
  if (handle) {
    processes.adopt(row, handle)
    return
  }
  log.warn({ container: row.id }, 'its process and its shim are gone, and the exit code with them')
  const lost = { status: 'exited', pid: 0, exitCode: 137 } as const
  later(log, row.id, processes.record({ ...row, ...lost, finishedAt: new Date().toISOString() }))
}

async function recoverSession({ drivers, sessions, log }: RecoveryDependencies, row: SessionRow): Promise<void> {
  if (row.status === 'exited') {
    if (row.told) sessions.discard(row)
    else later(log, row.id, sessions.record(row))
    return
  }
  const driver = drivers.runtime(row.runtime)
  const session = row.state ? driver.recoverSession(row.id, row.state) : undefined
  if (session) {
    sessions.adopt(row, session)
    return
  }
  await driver.removeSession(row.id)
  later(log, row.id, sessions.record({ ...row, status: 'exited', pid: 0, exitCode: 137 }))
}
