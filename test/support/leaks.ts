import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What is looked at. Without members: the whole machine, for a run that has it for itself. */
export interface LeakScope {
  /** The engine's short name: prefix of its links, cgroups and nftables table. */
  readonly engine?: string
  /** The engine's state and run-time folders: mounts below them, and processes that were told of them. */
  readonly directories?: readonly string[]
}

const CGROUP_ROOT = '/sys/fs/cgroup'
/** Cgroups of the machine's own managers and of other engines. */
const FOREIGN_CGROUPS = /^(process_api|system\.slice|user\.slice|init\.scope|docker)(\/|$)/
const ENGINE_PROCESSES = ['conmon', 'nats-server', 'runc', 'crun']

/** What engines hold in the kernel: one line a link, mount, cgroup, nftables table and shim, sorted. */
export function kernelState(scope: LeakScope = {}): string[] {
  return [...links(scope), ...mounts(scope), ...cgroups(scope), ...tables(scope), ...processes(scope)].sort()
}

/**
 * The lines that `before` lacks. What goes away late (a namespace with its last process, a shim after its container) is waited
 * for, up to `timeoutMs`.
 */
export async function leaksSince(
  before: readonly string[],
  scope: LeakScope = {},
  timeoutMs = 5_000,
): Promise<string[]> {
  const known = new Set(before)
  const end = Date.now() + timeoutMs
  for (;;) {
    const leaks = kernelState(scope).filter((line) => !known.has(line))
    if (leaks.length === 0 || Date.now() > end) return leaks
    await sleep(100)
  }
}

function links({ engine }: LeakScope): string[] {
  const ours = (name: string): boolean =>
    name.startsWith('br-') ||
    (engine === undefined ? /^(veth|g[0-9a-f]{6}|gantry)/.test(name) : name.startsWith(engine))
  return readdirSync('/sys/class/net')
    .filter(ours)
    .map((name) => `link ${name}`)
}

function mounts({ directories }: LeakScope): string[] {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ')
      return { target: before.split(' ')[4] ?? '', type: after.split(' ')[0] ?? '' }
    })
  return targets
    .filter(({ target, type }) =>
      directories === undefined
        ? type === 'overlay' || type === 'nsfs'
        : directories.some((directory) => target.startsWith(`${directory}/`)),
    )
    .map(({ target, type }) => `mount ${type} ${target}`)
}

function cgroups({ engine }: LeakScope): string[] {
  const found: string[] = []
  const walk = (hierarchy: string, path: string): void => {
    for (const entry of readEntries(join(CGROUP_ROOT, hierarchy, path))) {
      const below = join(path, entry)
      if (FOREIGN_CGROUPS.test(below)) continue
      if (path === '' && engine !== undefined && below !== engine) continue
      found.push(`cgroup ${hierarchy}/${below}`)
      walk(hierarchy, below)
    }
  }
  // cgroup v2 alone is one hierarchy, mounted here; v1 has one below for each controller.
  const unified = existsSync(join(CGROUP_ROOT, 'cgroup.controllers'))
  for (const hierarchy of unified ? [''] : readEntries(CGROUP_ROOT)) walk(hierarchy, '')
  return found
}

function readEntries(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
  } catch {
    return [] // removed meanwhile
  }
}

function tables({ engine }: LeakScope): string[] {
  const wanted = engine === undefined ? /^table \S+ gantry/ : new RegExp(`^table \\S+ (gantry-)?${engine}$`)
  return execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => wanted.test(line))
    .map((line) => `nft ${line}`)
}

/** A shim has its pid in its line; of nats-server, which may be started again, it only matters how many there are. */
function processes(scope: LeakScope): string[] {
  let servers = 0
  return engineProcesses(scope).map(({ program, pid }) =>
    program === 'nats-server' ? `process nats-server #${++servers}` : `process ${program} ${pid}`,
  )
}

/** Shims, runtimes and servers: by their program and, in a scope, by a folder of the engine in their arguments. */
export function engineProcesses({ directories }: LeakScope): { program: string; pid: number }[] {
  const found: { program: string; pid: number }[] = []
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const program = readlinkSync(`/proc/${pid}/exe`).split('/').at(-1) ?? ''
      if (!ENGINE_PROCESSES.includes(program)) continue
      const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      if (directories?.every((directory) => !text.includes(directory))) continue
      found.push({ program, pid: Number(pid) })
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}

if (process.argv[1] === import.meta.filename) process.stdout.write(kernelState().join('\n') + '\n')
