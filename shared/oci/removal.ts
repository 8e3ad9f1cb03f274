import { execFile } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SHIM_FILES } from '../conmon/shim.ts'
import { internal, unavailable } from '../errors/index.ts'
import { isCode } from '../kernel/libc.ts'
import { identify, parentOf, signalProcess, type ProcessIdentity } from '../kernel/pidfd.ts'
import type { RuntimeCommand } from './probe.ts'

const SIGKILL = 9
const KILL_TIMEOUT_MS = 10_000
const MOST_REMOVALS = 100

export interface ContainerRemains {
  readonly id: string
  /** The bundle. */
  readonly dir: string
  readonly exited: () => Promise<unknown>
  /** How the runtime is called. */
  readonly command: RuntimeCommand
  readonly runtimeRoot: string
}

/**
 * Ends what runs of a container that has no exit file, whatever state a crash left it in. Afterwards its directories can be removed:
 * neither runtime nor shim needs them any more. (The runtime's own `delete` would do no more than that and remove the cgroup, which
 * belongs to somebody else; it is asked only when no shim is there to tell what runs.)
 */
export async function endContainer(remains: ContainerRemains): Promise<void> {
  const found = findProcesses(remains.dir)
  if (found?.stage === 'created') {
    // Without a process it has just ended, and the shim is about to say so.
    if (found.process) signalProcess(found.process, SIGKILL)
    await withTimeout(remains.exited(), remains.id)
    return
  }
  // The shim takes a runtime that is still creating the container with it (PR_SET_PDEATHSIG).
  if (found) signalProcess(found.shim, SIGKILL)
  if (existsSync(join(remains.runtimeRoot, remains.id))) await runtimeDelete(remains)
}

/** Ends what runs of an exec session. */
export function endSession(dir: string): void {
  const found = findProcesses(dir)
  if (found?.stage === 'creating') signalProcess(found.shim, SIGKILL)
  else if (found?.process) signalProcess(found.process, SIGKILL)
}

interface FoundProcesses {
  readonly shim: ProcessIdentity
  /** While the runtime creates the process, it is the runtime's child; then the shim's. */
  readonly stage: 'creating' | 'created'
  readonly process?: ProcessIdentity
}

/**
 * Shim and process from their pid files, proved to be what they were: the shim by its command line, which names the directory, the
 * process by descending from the shim. Undefined when there is no shim.
 */
function findProcesses(dir: string): FoundProcesses | undefined {
  const shimPid = readPid(join(dir, SHIM_FILES.shimPid))
  if (shimPid === undefined || !commandLine(shimPid).includes(dir)) return undefined
  const shim = identify(shimPid)
  if (!shim) return undefined
  const pid = readPid(join(dir, SHIM_FILES.pid))
  if (pid === undefined) return { shim, stage: 'creating' }
  const parent = parentOf(pid)
  if (parent !== undefined && parent !== shimPid && parentOf(parent) === shimPid) return { shim, stage: 'creating' }
  const process = parent === shimPid ? identify(pid) : undefined
  return { shim, stage: 'created', ...(process ? { process } : {}) }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    return pid > 0 ? pid : undefined
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return []
    throw error
  }
}

function runtimeDelete(remains: ContainerRemains): Promise<void> {
  const [program, ...first] = remains.command
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...first, '--root', remains.runtimeRoot, 'delete', '--force', remains.id],
      { timeout: KILL_TIMEOUT_MS },
      (error, _, stderr) => {
        if (error && !/does not exist/.test(stderr)) {
          reject(
            internal(`${remains.command.at(-1)} could not remove ${remains.id}: ${stderr.trim() || error.message}`),
          )
        } else resolve()
      },
    )
  })
}

async function withTimeout(exited: Promise<unknown>, id: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(unavailable(`the process of ${id} did not end within 10 s of SIGKILL (is it frozen?)`)),
      KILL_TIMEOUT_MS,
    )
  })
  try {
    await Promise.race([exited, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Removes a directory in which a shim that is just ending may still put a file or take its socket away: then it is looked through
 * again. (rmSync fails for the one, and for the other stops half-way without a word.)
 */
export function removeTree(path: string): void {
  for (let attempt = 1; attempt <= MOST_REMOVALS; attempt++) {
    try {
      rmSync(path, { recursive: true, force: true })
    } catch (error) {
      if (attempt === MOST_REMOVALS || !isCode(error, 'ENOTEMPTY')) throw error
    }
    if (!existsSync(path)) return
  }
  throw internal(`${path} could not be removed`)
}
