import { join } from 'node:path'
import type { GroupStats } from '../contracts/index.ts'
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

/** One group's counter files, kept open from its first sample on. */
export class OpenCounters {
  readonly #fs: CgroupFs
  readonly #files = new Map<string, CounterFile | undefined>()

  constructor(fs: CgroupFs) {
    this.#fs = fs
  }

  /** Content; undefined when the file is missing or its group gone. */
  text(dir: string | undefined, name: string): string | undefined {
    if (dir === undefined) return undefined
    const path = join(dir, name)
    let file = this.#files.get(path)
    if (file === undefined) {
      if (this.#files.has(path)) return undefined
      file = this.#fs.open(path)
      this.#files.set(path, file)
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
    for (const file of this.#files.values()) file?.close()
    this.#files.clear()
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

/** The sampled groups of a driver, by path. */
export class Sampler {
  readonly #fs: CgroupFs
  readonly #sample: (counters: OpenCounters, path: string, pass: PassFacts) => GroupStats | undefined
  readonly #open = new Map<string, OpenCounters>()

  constructor(fs: CgroupFs, sample: (counters: OpenCounters, path: string, pass: PassFacts) => GroupStats | undefined) {
    this.#fs = fs
    this.#sample = sample
  }

  pass(paths: readonly string[]): Map<string, GroupStats> {
    const samples = new Map<string, GroupStats>()
    const facts = passFacts(this.#fs)
    for (const path of paths) {
      let counters = this.#open.get(path)
      if (!counters) {
        counters = new OpenCounters(this.#fs)
        this.#open.set(path, counters)
      }
      const sample = this.#sample(counters, path, facts)
      if (sample) samples.set(path, sample)
      else this.forget(path)
    }
    return samples
  }

  /** Open files of a removed group keep its memory in the kernel. */
  forget(path: string): void {
    this.#open.get(path)?.close()
    this.#open.delete(path)
  }

  close(): void {
    for (const path of [...this.#open.keys()]) this.forget(path)
  }
}
