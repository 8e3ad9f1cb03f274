import { mkdirSync, readdirSync, readFileSync, statSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import type { ExitStatus } from '../drivers/exec.ts'
import { isCode } from '../kernel/libc.ts'

/** Reads an exit file; undefined when there is none. Its time is when the process ended. */
export function readExitFile(path: string): ExitStatus | undefined {
  try {
    const code = readFileSync(path, 'utf8')
    return { exitCode: Number(code), finishedAt: statSync(path).mtime.toISOString() }
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

/** Watches a directory of exit files (conmon's --exit-dir): one inotify watch for all containers. */
export class ExitDirectory {
  readonly path: string
  readonly #waiting = new Map<string, ((status: ExitStatus) => void)[]>()
  #watcher: FSWatcher | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Resolves when `name` has ended, at once if it has. */
  wait(name: string): Promise<ExitStatus> {
    this.#watch()
    const there = readExitFile(join(this.path, name))
    if (there) return Promise.resolve(there)
    return new Promise((resolve) => {
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), resolve])
    })
  }

  /** Ends the wait for a process without the watch: its shim was killed, or it is removed. */
  settle(name: string, status: ExitStatus): void {
    for (const resolve of this.#waiting.get(name) ?? []) resolve(status)
    this.#waiting.delete(name)
  }

  /** Those that are still waited for. */
  get pending(): readonly string[] {
    return [...this.#waiting.keys()]
  }

  read(name: string): ExitStatus | undefined {
    return readExitFile(join(this.path, name))
  }

  close(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  #watch(): void {
    if (this.#watcher) return
    mkdirSync(this.path, { recursive: true, mode: 0o700 })
    this.#watcher = watch(this.path, { persistent: false }, (_, name) => {
      if (name === null) for (const each of readdirSync(this.path)) this.#look(each)
      // conmon writes a temporary file first and renames it.
      else if (this.#waiting.has(name)) this.#look(name)
    })
  }

  #look(name: string): void {
    const status = this.read(name)
    if (status) this.settle(name, status)
  }
}
