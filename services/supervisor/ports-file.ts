import { existsSync, watch } from 'node:fs'
import { join } from 'node:path'

/**
 * Resolves when nats-server has written `nats-server_<pid>.ports` into `directory`, which it does once it accepts clients.
 * Rejects after `timeoutMs`.
 */
export function untilPortsFile(directory: string, pid: number, timeoutMs: number): Promise<void> {
  const file = join(directory, `nats-server_${pid}.ports`)
  return new Promise((resolve, reject) => {
    const watcher = watch(directory, () => {
      if (existsSync(file)) finish()
    })
    const timer = setTimeout(
      () => finish(new Error(`nats-server (pid ${pid}) was not ready within ${timeoutMs} ms`)),
      timeoutMs,
    )
    const finish = (error?: Error): void => {
      clearTimeout(timer)
      watcher.close()
      if (error === undefined) resolve()
      else reject(error)
    }
    watcher.once('error', finish)
    if (existsSync(file)) finish()
  })
}
