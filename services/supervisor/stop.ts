import type { Config } from '../../shared/config/index.ts'
import { endProcesses, isAlive, signalProcess, waitGone } from './identity.ts'
import { findLeftovers } from './leftovers.ts'
import { withLock } from './lock.ts'
import { enginePaths } from './paths.ts'
import { readRecord, removeRecord } from './record.ts'

const LOCK_MS = 60_000
const GRACE_MS = 10_000
/** The supervisor gives the services their 10 s, then nats-server. */
const SUPERVISOR_MS = 30_000

/** Ends supervisor, services and nats-server; containers keep running. Returns false when nothing ran. */
export async function stopSupervisor(config: Config): Promise<boolean> {
  const paths = enginePaths(config)
  return withLock(paths.lock, LOCK_MS, async () => {
    const record = readRecord(paths.record)
    let stopped = false
    if (record !== undefined && isAlive(record.supervisor)) {
      stopped = true
      signalProcess(record.supervisor, 'SIGTERM')
      if (!(await waitGone(record.supervisor, SUPERVISOR_MS))) await endProcesses([record.supervisor], 0)
    }
    const leftovers = findLeftovers(record, paths.natsConfig)
    await endProcesses(leftovers, GRACE_MS)
    removeRecord(paths.record)
    return stopped || leftovers.length > 0
  })
}
