import { mkdirSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { unavailable } from '../../shared/errors/index.ts'
import { readRecord, type SupervisorRecord } from './record.ts'

/**
 * Resolves with the record as soon as `accept` says so: looked at now and after every change of its folder. Throws
 * `unavailable` after `timeoutMs`; what `accept` throws is thrown.
 */
export function untilRecord(
  path: string,
  timeoutMs: number,
  accept: (record: SupervisorRecord | undefined) => boolean,
): Promise<SupervisorRecord | undefined> {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true, mode: 0o711 })
  return new Promise((resolve, reject) => {
    const watcher = watch(directory, () => look())
    // The watch tells of changes of the record; the timer sees what changes none, such as a supervisor that was killed.
    const timer = setInterval(() => look(), 500)
    const end = Date.now() + timeoutMs
    const finish = (settle: () => void): void => {
      watcher.close()
      clearInterval(timer)
      settle()
    }
    const look = (): void => {
      try {
        const record = readRecord(path)
        if (accept(record)) finish(() => resolve(record))
        else if (Date.now() > end) throw unavailable(`no answer from the supervisor within ${timeoutMs / 1000} s`)
      } catch (error) {
        finish(() => reject(error instanceof Error ? error : new Error(String(error))))
      }
    }
    watcher.once('error', (error) => finish(() => reject(error)))
    look()
  })
}
