import { setTimeout as sleep } from 'node:timers/promises'
import { isKind, toGantryError } from '../../../shared/errors/index.ts'
import type { Engine } from '../engine.ts'
import { recoverConnection } from '../jobs/connect.ts'
import { recoverCreate } from '../jobs/create.ts'
import { recoverExit } from '../jobs/exit.ts'
import { recoverKill } from '../jobs/kill.ts'
import { recoverPause } from '../jobs/pause.ts'
import { recoverPrune } from '../jobs/prune.ts'
import { recoverRemove } from '../jobs/remove.ts'
import { recoverRename } from '../jobs/rename.ts'
import { recoverRestart } from '../jobs/restart.ts'
import type { JobName, JobRecord } from '../jobs/runner.ts'
import { recoverStart } from '../jobs/start.ts'
import { recoverStop } from '../jobs/stop.ts'
import { recoverUnlink } from '../jobs/unlink.ts'
import { recoverUpdate } from '../jobs/update.ts'

type Recover = (engine: Engine, record: JobRecord) => Promise<void>

/** What becomes of a job that the engine died in; those that were not written before their end are never found here. */
const RECOVERY: Partial<Record<JobName, Recover>> = {
  create: recoverCreate,
  start: recoverStart,
  stop: recoverStop,
  kill: recoverKill,
  restart: recoverRestart,
  remove: recoverRemove,
  exit: recoverExit,
  pause: recoverPause,
  unpause: recoverPause,
  rename: recoverRename,
  update: recoverUpdate,
  connect: recoverConnection,
  disconnect: recoverConnection,
  unlink: recoverUnlink,
  prune: recoverPrune,
}

const RETRY_MS = 1000

/**
 * Finishes or undoes every interrupted job, the jobs of one container in order and under its lock, which is taken before
 * this returns to its caller: what users ask for meanwhile waits. A service that is down is waited for. That containers are being
 * restarted is known before their ends can be heard.
 */
export async function recoverJobs(engine: Engine): Promise<void> {
  const byContainer = Map.groupBy(engine.jobs.interrupted(), (record) => record.container)
  await Promise.all(
    [...byContainer].map(async ([id, records]) => {
      const restarting = records.some((record) => record.name === 'restart')
      if (restarting) engine.restarting.add(id)
      const recovered = engine.locks.run(id, async () => {
        for (const record of innermostFirst(records)) await recoverJob(engine, record)
      })
      for (const { request } of records) engine.requests.recover(request, recovered)
      await recovered
      if (restarting) engine.restarting.delete(id)
    }),
  )
}

/** Jobs that hold no lock while they wait for the end of a run, and may contain others. */
const isOuter = ({ name, arguments: { instance } }: JobRecord): boolean =>
  name === 'restart' || name === 'stop' || name === 'kill' || (name === 'remove' && instance !== undefined)

/** A restart contains a start, an end comes within a stop: what is inside comes first. */
const innermostFirst = (records: JobRecord[]): JobRecord[] => [
  ...records.filter((r) => !isOuter(r)),
  ...records.filter(isOuter),
]

async function recoverJob(engine: Engine, record: JobRecord): Promise<void> {
  while (!engine.stopping.signal.aborted) {
    try {
      engine.log.info({ interrupted: record.id, name: record.name, container: record.container }, 'job is recovered')
      await RECOVERY[record.name]?.(engine, record)
      return
    } catch (error) {
      if (!isKind(error, 'unavailable')) {
        engine.log.error({ err: error, name: record.name, container: record.container }, 'job could not be recovered')
        engine.jobs.close(record, 'failed', `recovery failed: ${toGantryError(error).message}`)
        return
      }
      await sleep(RETRY_MS, undefined, { signal: engine.stopping.signal }).catch(() => undefined)
    }
  }
}
