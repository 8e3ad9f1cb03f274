import { AsyncLocalStorage } from 'node:async_hooks'
import { pino, type Logger } from 'pino'

export type { Logger }

/** What travels with a piece of work through every service: the job it belongs to and its W3C trace context. */
export interface Trace {
  readonly job?: string | undefined
  readonly traceparent?: string | undefined
  /** The caller's id of the request that it is done for; the same when that is sent again. */
  readonly request?: string | undefined
}

const storage = new AsyncLocalStorage<Trace>()

export const currentTrace = (): Trace => storage.getStore() ?? {}
export const withTrace = <T>(trace: Trace, run: () => T): T => storage.run(trace, run)

/** What waits to be written while that fails; beyond it lines are dropped. */
const MOST_WAITING = 256 * 1024

/** A full disk costs lines of the log, not the service. Synchronous: what was logged before a crash is there. */
function output() {
  const stdout = pino.destination({ fd: 1, sync: true, maxLength: MOST_WAITING })
  stdout.on('error', () => undefined)
  return stdout
}
let stdout: ReturnType<typeof output> | undefined

/** A logger of JSON lines on stdout; each line carries the service, and job and trace ids when there are any. */
export function createLogger(service: string, level = process.env['GANTRY_LOG_LEVEL'] ?? 'info'): Logger {
  const options = {
    name: service,
    level,
    base: { service, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin: () => ({ ...currentTrace() }),
  }
  return pino(options, (stdout ??= output()))
}
