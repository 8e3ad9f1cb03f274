import type { Logger } from '../../shared/log/index.ts'
import type { ExecDrivers } from './drivers.ts'
import type { Processes } from './processes.ts'
import type { Records } from './records.ts'
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
  await recoverProcesses(d)
  await recoverSessions(d)
  for (const driver of d.drivers.exec.usable()) {
    const found = await driver.list()
    for (const id of found.containers) {
      if (d.records.processes.get(id)?.runtime === driver.manifest.name) continue
      d.log.info({ container: id }, 'removing a container that is in no record')
      await driver.remove(id)
    }
    for (const id of found.sessions) {
      const row = d.records.sessions.get(id)
      if (row?.runtime !== driver.manifest.name || row.status === 'exited') await driver.removeSession(id)
    }
  }
  d.shm.recover((id) => d.records.processes.has(id))
}

async function recoverProcesses({ records, drivers, processes, log }: RecoveryDependencies): Promise<void> {
  for (const row of [...records.processes.values()]) {
    if (row.status === 'creating') {
      // Its caller got no answer: nothing must be left of it.
      await drivers.runtime(row.runtime).remove(row.id)
      records.deleteProcess(row.id)
      continue
    }
    if (row.status === 'exited') {
      if (!row.told) void processes.tell(row).then((told) => records.putProcess({ ...row, told }))
      continue
    }
    const handle = row.state ? drivers.runtime(row.runtime).recover(row.id, row.state) : undefined
    if (handle) {
      processes.adopt(row, handle)
      continue
    }
    log.warn({ container: row.id }, 'its process and its shim are gone, and the exit code with them')
    const lost = { ...row, status: 'exited', pid: 0, exitCode: 137, finishedAt: new Date().toISOString() } as const
    records.putProcess(lost)
    void processes.tell(lost).then((told) => records.putProcess({ ...lost, told }))
  }
}

async function recoverSessions({ records, drivers, sessions }: RecoveryDependencies): Promise<void> {
  for (const row of [...records.sessions.values()]) {
    if (row.status === 'exited') {
      if (!row.told) void sessions.tell(row).then((told) => records.putSession({ ...row, told }))
      continue
    }
    const driver = drivers.runtime(row.runtime)
    const session = row.state ? driver.recoverSession(row.id, row.state) : undefined
    if (session) {
      sessions.adopt(row, session)
      continue
    }
    await driver.removeSession(row.id)
    const lost = { ...row, status: 'exited', pid: 0, exitCode: 137 } as const
    records.putSession(lost)
    void sessions.tell(lost).then((told) => records.putSession({ ...lost, told }))
  }
}
