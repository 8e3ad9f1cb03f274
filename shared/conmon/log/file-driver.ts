import { mkdirSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  DriverContext,
  DriverManifest,
  LogDriver,
  LogOptions,
  LogQuery,
  LogTarget,
  OutputChunk,
  ProbeResult,
} from '../../drivers/index.ts'
import { invalid } from '../../errors/index.ts'
import { boundLog, type LogBounds } from './rotation.ts'
import { readLog } from './reader.ts'

/** A log driver whose logs are files that conmon writes: `<stateDir>/<container>/container.log`. */
export class FileLogDriver implements LogDriver {
  readonly manifest: DriverManifest
  readonly #dir: string
  readonly #rank: number
  readonly #parse: (options: LogOptions) => LogBounds | undefined

  constructor(
    manifest: DriverManifest,
    context: DriverContext,
    settings: { rank: number; parse(options: LogOptions): LogBounds | undefined },
  ) {
    this.manifest = manifest
    this.#dir = context.stateDir
    this.#rank = settings.rank
    this.#parse = (options) => settings.parse(options)
  }

  async probe(): Promise<ProbeResult> {
    // conmon would take what follows a colon for the path.
    if (this.#dir.includes(':'))
      return { usable: false, reason: `the state directory ${this.#dir} has a colon in its path` }
    return { usable: true, rank: this.#rank }
  }

  validate(options: LogOptions): void {
    this.#parse(options)
  }

  bounded(options: LogOptions): boolean {
    return this.#parse(options) !== undefined
  }

  open(id: string): LogTarget {
    const dir = join(this.#dir, id)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const path = this.#path(id)
    return { path, shimArgs: ['-l', `k8s-file:${path}`] }
  }

  read(id: string, query: LogQuery): AsyncIterable<OutputChunk> {
    if (!/^[a-f0-9]{64}$/.test(id)) throw invalid(`"${id}" is no container id`)
    return readLog(this.#path(id), query)
  }

  async maintain(id: string, options: LogOptions, reopen: (() => void) | undefined): Promise<void> {
    const bounds = this.#parse(options)
    if (bounds) await boundLog(this.#path(id), bounds, reopen)
  }

  async remove(id: string): Promise<void> {
    await rm(join(this.#dir, id), { recursive: true, force: true })
  }

  async list(): Promise<readonly string[]> {
    return readdir(this.#dir).catch(() => [])
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  #path(id: string): string {
    return join(this.#dir, id, 'container.log')
  }
}
