import { readFileSync } from 'node:fs'

/** A process, told apart from a later one that got the same pid by the moment it started. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot: field 22 of /proc/<pid>/stat (proc(5)). */
  readonly startTime: string
}

/** The start time out of the text of /proc/<pid>/stat; the command name, in parentheses, may hold anything. */
export function parseStartTime(stat: string): string | undefined {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .at(19)
}

/** The process that has this pid now; undefined when there is none, or when it is a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  if (stat[stat.lastIndexOf(')') + 2] === 'Z') return undefined
  const startTime = parseStartTime(stat)
  return startTime === undefined ? undefined : { pid, startTime }
}

export const isAlive = (process: ProcessIdentity | undefined): boolean =>
  process !== undefined && identify(process.pid)?.startTime === process.startTime

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(target: ProcessIdentity | undefined, signal: NodeJS.Signals): boolean {
  if (target === undefined || !isAlive(target)) return false
  try {
    process.kill(target.pid, signal)
    return true
  } catch {
    return false
  }
}

/**
 * Resolves when the process, which need not be a child, is gone; false when it is still there after `timeoutMs`. The kernel
 * tells only parents of a death, so this one looks every 20 ms.
 */
export async function waitGone(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (isAlive(target)) {
    if (Date.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return true
}

/** SIGTERM, and SIGKILL for what is still there after `graceMs`. Resolves when all are gone. */
export async function endProcesses(targets: readonly ProcessIdentity[], graceMs: number): Promise<void> {
  await Promise.all(
    targets.map(async (target) => {
      if (!signalProcess(target, 'SIGTERM') || (await waitGone(target, graceMs))) return
      signalProcess(target, 'SIGKILL')
      await waitGone(target, 5000)
    }),
  )
}
