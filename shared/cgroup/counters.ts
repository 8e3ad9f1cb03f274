import { join } from 'node:path'
import type { GroupStats } from '../contracts/index.ts'
import type { Logger } from '../log/index.ts'
import type { CgroupFs, CounterFile } from '../kernel/cgroupfs.ts'

/** What is the same for all samples of one pass. */
export interface PassFacts {
  /** RFC 3339 with nanoseconds. */
  readonly read: string
  readonly systemCpuNanos: number
  readonly onlineCpus: number
  readonly memoryTotal: number
}

export function passFacts(fs: CgroupFs): PassFacts {
  return {
    read: rfc3339Nano(),
    systemCpuNanos: fs.host.systemCpuNanos(),
    onlineCpus: fs.host.onlineCpus,
    memoryTotal: fs.host.memoryTotal,
  }
}

/** Now, with the sub-millisecond part from the high-resolution clock. */
export function rfc3339Nano(): string {
  const now = performance.timeOrigin + performance.now()
  const ms = Math.floor(now)
  const rest = Math.floor((now - ms) * 1e6)
  return `${new Date(ms).toISOString().slice(0, -1)}${String(rest).padStart(6, '0')}Z`
}

/** How many more files may be kept open. */
interface Budget {
  left: number
}

/** One group's counter files, kept open from its first sample on as far as the budget goes. */
export class OpenCounters {
  readonly #fs: CgroupFs
  readonly #budget: Budget
  readonly #files = new Map<string, CounterFile | undefined>()

  constructor(fs: CgroupFs, budget: Budget) {
    this.#fs = fs
    this.#budget = budget
  }

  /** Content; undefined when the file is missing or its group gone. */
  text(dir: string | undefined, name: string): string | undefined {
    if (dir === undefined) return undefined
    const path = join(dir, name)
    let file = this.#files.get(path)
    if (file === undefined) {
      if (this.#files.has(path)) return undefined
      file = this.#fs.open(path)
      if (file !== undefined && this.#budget.left === 0) return readOnce(file)
      this.#files.set(path, file)
      if (file !== undefined) this.#budget.left--
    }
    return file?.read()
  }

  /** A file with one number; undefined when missing, Infinity for `max`. */
  number(dir: string | undefined, name: string): number | undefined {
    const text = this.text(dir, name)
    if (text === undefined) return undefined
    return text.startsWith('max') ? Infinity : Number(text)
  }

  /** A flat keyed file (`key value` lines). */
  keyed(dir: string | undefined, name: string): Record<string, number> | undefined {
    const text = this.text(dir, name)
    return text === undefined ? undefined : parseKeyed(text)
  }

  close(): void {
    for (const file of this.#files.values()) {
      if (file === undefined) continue
      file.close()
      this.#budget.left++
    }
    this.#files.clear()
  }
}

function readOnce(file: CounterFile): string | undefined {
  try {
    return file.read()
  } finally {
    file.close()
  }
}

export function parseKeyed(text: string): Record<string, number> {
  const values: Record<string, number> = {}
  for (const line of text.split('\n')) {
    const blank = line.indexOf(' ')
    if (blank > 0) values[line.slice(0, blank)] = Number(line.slice(blank + 1))
  }
  return values
}

/** A group has about twenty files. More groups than these are for are read without being kept open. */
const MAX_OPEN_FILES = 8192

type Sample = (counters: OpenCounters, path: string, pass: PassFacts) => GroupStats | undefined

/** The sampled groups of a driver, by path. */
export class Sampler {
  readonly #fs: CgroupFs
  readonly #log: Pick<Logger, 'warn'>
  readonly #sample: Sample
  readonly #open = new Map<string, OpenCounters>()
  readonly #failing = new Set<string>()
  readonly #budget: Budget

  constructor(fs: CgroupFs, log: Pick<Logger, 'warn'>, sample: Sample, maxOpenFiles = MAX_OPEN_FILES) {
    this.#fs = fs
    this.#log = log
    this.#sample = sample
    this.#budget = { left: maxOpenFiles }
  }

  /** A group whose files cannot be read is left out, and does not keep the others from being sampled. */
  pass(paths: readonly string[]): Map<string, GroupStats> {
    const samples = new Map<string, GroupStats>()
    const facts = passFacts(this.#fs)
    for (const path of paths) {
      const sample = this.#try(path, facts)
      if (sample) samples.set(path, sample)
      else this.#close(path)
    }
    return samples
  }

  #try(path: string, facts: PassFacts): GroupStats | undefined {
    let counters = this.#open.get(path)
    if (!counters) {
      counters = new OpenCounters(this.#fs, this.#budget)
      this.#open.set(path, counters)
    }
    try {
      const sample = this.#sample(counters, path, facts)
      this.#failing.delete(path)
      return sample
    } catch (error) {
      if (!this.#failing.has(path)) this.#log.warn({ err: error, cgroup: path }, 'a cgroup cannot be sampled')
      this.#failing.add(path)
      return undefined
    }
  }

  /** Open files of a removed group keep its memory in the kernel. */
  forget(path: string): void {
    this.#close(path)
    this.#failing.delete(path)
  }

  #close(path: string): void {
    this.#open.get(path)?.close()
    this.#open.delete(path)
  }

  close(): void {
    for (const path of [...this.#open.keys()]) this.forget(path)
  }
}
