import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  statSync,
  watch,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { openEventFd } from './eventfd.ts'
import { isCode } from './libc.ts'

/** A kernel file kept open, to be read again and again (a pread from 0 makes the kernel write it anew). */
export interface CounterFile {
  /** What it says now; undefined once its group is gone. */
  read(): string | undefined
  close(): void
}

/** What a driver needs to know of the machine, besides cgroup files. */
export interface HostFacts {
  /** Bytes. */
  readonly memoryTotal: number
  readonly onlineCpus: number
  /** Nanoseconds of all CPUs in user, nice, system, idle, iowait, irq and softirq (proc(5), /proc/stat), as Docker counts them. */
  systemCpuNanos(): number
}

/**
 * The calls that cgroup drivers make. They are synchronous: kernfs answers in microseconds, so that a promise would cost more
 * than the call. Paths are absolute. Errors are Node's, with `code` from errno.h. Tests put a recorded tree in its place.
 */
export interface CgroupFs {
  readonly host: HostFacts
  /** Text of /proc/self/mountinfo (proc(5)). */
  mountinfo(): string
  /** Whether it was made; false when it was there. */
  mkdir(path: string): boolean
  /** `busy`: it has processes or groups below. */
  rmdir(path: string): 'removed' | 'missing' | 'busy'
  read(path: string): string
  write(path: string, value: string): void
  exists(path: string): boolean
  /** Names of the groups right below; none when `path` is missing. */
  children(path: string): string[]
  /** undefined when there is no such file. */
  open(path: string): CounterFile | undefined
  /** Calls `changed` when the kernel says that the file's content is new (kernfs_notify, seen by inotify(7)). */
  watch(path: string, changed: () => void): () => void
  /**
   * Asks for v1's event on `file` in a group's directory `dir`: `signalled` is called for each, also when the group is removed
   * (Documentation/admin-guide/cgroup-v1/cgroups.rst, 2.4 Notification API).
   */
  registerEvent(dir: string, file: string, signalled: () => void): () => void
  /** kill(2); a process that is gone is no error. */
  kill(pid: number, signal: NodeJS.Signals): void
  /** Names of the directories in /sys/kernel/mm/hugepages (`hugepages-2048kB`). */
  hugePageSizes(): string[]
  /** `major:minor` of a block device file; throws ENOENT, or ENOTBLK when it is something else. */
  blockDevice(path: string): string
}

/** A group or a file of it is not there (ENODEV: removed while its file is open; ENOTDIR: below a file there can be none). */
export const isGone = (error: unknown): boolean => isCode(error, 'ENOENT', 'ENODEV', 'ENOTDIR')

/** Group files are small; memory.stat of a large machine and cpuacct.usage_percpu with a thousand CPUs fit. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

function readFd(fd: number): string | undefined {
  try {
    const n = readSync(fd, buffer, 0, buffer.length, 0)
    return buffer.toString('latin1', 0, n)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Opens a kernel file for repeated reading. undefined when it is missing. */
export function openCounter(path: string): CounterFile | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY)
  } catch (error) {
    if (isGone(error) || isCode(error, 'EACCES')) return undefined
    throw error
  }
  let open = true
  return {
    read: () => (open ? readFd(fd) : undefined),
    close: () => {
      if (open) closeSync(fd)
      open = false
    },
  }
}

class RealHost implements HostFacts {
  readonly memoryTotal = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024
  #stat: CounterFile | undefined
  #online: CounterFile | undefined

  get onlineCpus(): number {
    this.#online ??= openCounter('/sys/devices/system/cpu/online')
    return countCpus(this.#online?.read() ?? '')
  }

  systemCpuNanos(): number {
    this.#stat ??= openCounter('/proc/stat')
    return parseSystemCpu(this.#stat?.read() ?? '')
  }
}

/** The `cpu` line of /proc/stat in nanoseconds. USER_HZ is 100 on every architecture that Node runs on. */
export function parseSystemCpu(text: string): number {
  const line = text.slice(0, text.indexOf('\n'))
  let ticks = 0
  for (const field of line.split(/\s+/).slice(1, 8)) ticks += Number(field)
  return ticks * 10_000_000
}

/** How many CPUs a list such as `0-3,8` names. */
export function countCpus(list: string): number {
  let n = 0
  for (const part of list.trim().split(',')) {
    const [from, to] = part.split('-')
    if (from !== undefined && from !== '') n += Number(to ?? from) - Number(from) + 1
  }
  return n
}

/** The kernel's own cgroup file system. */
export class RealCgroupFs implements CgroupFs {
  #host: HostFacts | undefined

  get host(): HostFacts {
    this.#host ??= new RealHost()
    return this.#host
  }

  mountinfo(): string {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  }

  mkdir(path: string): boolean {
    try {
      mkdirSync(path, 0o755)
      return true
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false
      throw error
    }
  }

  rmdir(path: string): 'removed' | 'missing' | 'busy' {
    try {
      rmdirSync(path)
      return 'removed'
    } catch (error) {
      if (isGone(error)) return 'missing'
      if (isCode(error, 'EBUSY', 'ENOTEMPTY')) return 'busy'
      throw error
    }
  }

  read(path: string): string {
    return readFileSync(path, 'latin1')
  }

  // Not Node's 'w': truncating and creating are refused by some files, reading by others.
  write(path: string, value: string): void {
    const fd = openSync(path, constants.O_WRONLY)
    try {
      writeSync(fd, value)
    } finally {
      closeSync(fd)
    }
  }

  exists(path: string): boolean {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  }

  children(path: string): string[] {
    // Two links are the directory itself: most groups have none below, and stat is cheaper than reading sixty names.
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat?.isDirectory() || stat.nlink === 2) return []
    try {
      return readdirSync(path, { withFileTypes: true })
        .filter((e) => e.isDirectory())
        .map((e) => e.name)
    } catch (error) {
      if (isGone(error)) return []
      throw error
    }
  }

  open(path: string): CounterFile | undefined {
    return openCounter(path)
  }

  watch(path: string, changed: () => void): () => void {
    const watcher = watch(path, { persistent: false }, changed)
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  }

  registerEvent(dir: string, file: string, signalled: () => void): () => void {
    const event = openEventFd(signalled)
    try {
      const fd = openSync(join(dir, file), constants.O_RDONLY)
      try {
        this.write(join(dir, 'cgroup.event_control'), `${event.fd} ${fd}`)
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      event.close()
      throw error
    }
    return () => event.close()
  }

  kill(pid: number, signal: NodeJS.Signals): void {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (!isCode(error, 'ESRCH')) throw error
    }
  }

  hugePageSizes(): string[] {
    try {
      return readdirSync('/sys/kernel/mm/hugepages')
    } catch (error) {
      if (isCode(error, 'ENOENT')) return []
      throw error
    }
  }

  blockDevice(path: string): string {
    const stat = statSync(path)
    if (!stat.isBlockDevice()) throw Object.assign(new Error(`${path} is not a block device`), { code: 'ENOTBLK' })
    // makedev(3) as glibc lays it out.
    const major = ((stat.rdev >>> 8) & 0xfff) + Math.floor(stat.rdev / 2 ** 44) * 0x1000
    const minor = (stat.rdev & 0xff) + (Math.floor(stat.rdev / 2 ** 20) % 2 ** 24) * 256
    return `${major}:${minor}`
  }
}
