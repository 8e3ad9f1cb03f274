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

/** Reads one file of a group, each time anew; undefined when the file is missing or its group gone. */
export type Reading<T> = () => T | undefined

/** One group's counter files, kept open from their first reading on as far as the budget goes. */
export class OpenCounters {
  readonly #fs: CgroupFs
  readonly #budget: Budget
  readonly #open: CounterFile[] = []

  constructor(fs: CgroupFs, budget: Budget) {
    this.#fs = fs
    this.#budget = budget
  }

  text(dir: string | undefined, name: string): Reading<string> {
    if (dir === undefined) return () => undefined
    const path = join(dir, name)
    let file: CounterFile | undefined
    let missing = false
    return () => {
      if (file !== undefined) return file.read()
      if (missing) return undefined
      const opened = this.#fs.open(path)
      missing = opened === undefined
      if (opened === undefined) return undefined
      if (this.#budget.left === 0) return readOnce(opened)
      this.#budget.left--
      this.#open.push(opened)
      file = opened
      return file.read()
    }
  }

  /** Counters of an idle group say the same as the last time: then what was made of them is still good. It is not to be changed. */
  parsed<T>(dir: string | undefined, name: string, parse: (text: string) => T): Reading<T> {
    const read = this.text(dir, name)
    let last: string | undefined
    let value: T | undefined
    return () => {
      const text = read()
      if (text === undefined) return undefined
      if (text !== last) {
        value = parse(text)
        last = text
      }
      return value
    }
  }

  /** A file with one number; Infinity for `max`. */
  number(dir: string | undefined, name: string): Reading<number> {
    return this.parsed(dir, name, (text) => (text.startsWith('max') ? Infinity : Number(text)))
  }

  /** A flat keyed file (`key value` lines). */
  keyed(dir: string | undefined, name: string): Reading<Readonly<Record<string, number>>> {
    return this.parsed(dir, name, parseKeyed)
  }

  close(): void {
    for (const file of this.#open.splice(0)) {
      file.close()
      this.#budget.left++
    }
  }
}

/**
 * How long, in passes, a group has used no CPU time. Who uses none does nothing: what only its own processes change, stays as it was
 * read. `usage`: the same object as long as it is the same usage.
 */
export function quietPasses(): (usage: object | undefined) => number {
  let last: object | undefined
  let passes = 0
  return (usage) => {
    passes = usage !== undefined && usage === last ? passes + 1 : 0
    last = usage
    return passes
  }
}

/** A reading that is done only when it is due. */
export function kept<T>(read: Reading<T>): (due: boolean) => T | undefined {
  let value: T | undefined
  let known = false
  return (due) => {
    if (due || !known) value = read()
    known = true
    return value
  }
}

/** Gives the earlier object as long as all its members are the same: what was made of it is still good. */
export function settled<T extends object>(): (next: T) => T {
  let last: T | undefined
  const isSame = (next: T, before: T): boolean => {
    const keys = Object.keys(next) as (keyof T)[]
    return keys.length === Object.keys(before).length && keys.every((key) => next[key] === before[key])
  }
  return (next) => {
    if (last === undefined || !isSame(next, last)) last = next
    return last
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

/** Takes one sample of a group; undefined when it is gone. */
export type TakeSample = (pass: PassFacts) => GroupStats | undefined

/** Says where a group's counters are, once for all its samples. */
type OpenGroup = (counters: OpenCounters, path: string) => TakeSample

interface SampledGroup {
  readonly counters: OpenCounters
  readonly take: TakeSample
}

/** For how long a pass may use what it read of the machine: its groups take as long as they take, and others want their turn. */
const FACTS_MS = 5

/** The sampled groups of a driver, by path. */
export class Sampler {
  readonly #fs: CgroupFs
  readonly #log: Pick<Logger, 'warn'>
  readonly #openGroup: OpenGroup
  readonly #groups = new Map<string, SampledGroup>()
  readonly #failing = new Set<string>()
  readonly #budget: Budget
  #facts: { readonly facts: PassFacts; readonly readAt: number } | undefined

  constructor(fs: CgroupFs, log: Pick<Logger, 'warn'>, openGroup: OpenGroup, maxOpenFiles = MAX_OPEN_FILES) {
    this.#fs = fs
    this.#log = log
    this.#openGroup = openGroup
    this.#budget = { left: maxOpenFiles }
  }

  /** A group whose files cannot be read is left out, and does not keep the others from being sampled. */
  pass(paths: readonly string[]): Map<string, GroupStats> {
    const samples = new Map<string, GroupStats>()
    const facts = this.#freshFacts()
    for (const path of paths) {
      const sample = this.#try(path, facts)
      if (sample) samples.set(path, sample)
      else this.#close(path)
    }
    return samples
  }

  #freshFacts(): PassFacts {
    const now = performance.now()
    if (!this.#facts || now - this.#facts.readAt > FACTS_MS) this.#facts = { facts: passFacts(this.#fs), readAt: now }
    return this.#facts.facts
  }

  #try(path: string, facts: PassFacts): GroupStats | undefined {
    let group = this.#groups.get(path)
    if (!group) {
      const counters = new OpenCounters(this.#fs, this.#budget)
      group = { counters, take: this.#openGroup(counters, path) }
      this.#groups.set(path, group)
    }
    try {
      const sample = group.take(facts)
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
    this.#groups.get(path)?.counters.close()
    this.#groups.delete(path)
  }

  close(): void {
    for (const path of [...this.#groups.keys()]) this.forget(path)
  }
}
