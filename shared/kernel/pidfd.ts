import { closeSync, openSync, readSync } from 'node:fs'
import { isCode, syscallFn } from './libc.ts'

// Numbers from asm-generic/unistd.h, the same on every architecture.
const PIDFD_SEND_SIGNAL = 424
const PIDFD_OPEN = 434

const pidfdOpen = syscallFn('long syscall(long number, int pid, unsigned int flags)')
const pidfdSendSignal = syscallFn(
  'long syscall(long number, int pidfd, int signal, const void *info, unsigned int flags)',
)

/** A process, told apart from a later one with the same pid by its start time. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/PID/stat (proc(5)): clock ticks after boot. */
  readonly started: number
}

/** The identity of a process that lives now (a zombie does not), or undefined. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid)
  return stat && stat.state !== 'Z' && stat.state !== 'X' ? { pid, started: stat.started } : undefined
}

/** Whether this very process still lives. */
export const isAlive = (process: ProcessIdentity): boolean => identify(process.pid)?.started === process.started

/**
 * Sends a signal to this very process, never to a successor of its pid: the pidfd is opened first and the start time compared
 * then. False when it is gone.
 */
export function signalProcess(process: ProcessIdentity, signal: number): boolean {
  if (process.pid <= 0) return false
  let fd: number
  try {
    fd = pidfdOpen(PIDFD_OPEN, process.pid, 0)
  } catch (error) {
    if (isCode(error, 'ESRCH', 'EINVAL')) return false
    throw error
  }
  try {
    if (!isAlive(process)) return false
    pidfdSendSignal(PIDFD_SEND_SIGNAL, fd, signal, null, 0)
    return true
  } catch (error) {
    if (isCode(error, 'ESRCH')) return false
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Pid of a process's parent; undefined when it is gone. */
export const parentOf = (pid: number): number | undefined => readStat(pid)?.parent

/** 52 numbers and a name of 64 bytes at most (a kernel thread's) fit. */
const statText = Buffer.allocUnsafeSlow(2048)

function readStat(pid: number): { state: string; parent: number; started: number } | undefined {
  let text: string
  try {
    // A third of what readFileSync needs in system calls: the shims of all containers are looked at again and again.
    const fd = openSync(`/proc/${pid}/stat`, 'r')
    try {
      text = statText.toString('latin1', 0, readSync(fd, statText))
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return undefined
    throw error
  }
  // The command name, in brackets, may itself hold brackets and spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', parent: Number(fields[1]), started: Number(fields[19]) }
}
