import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ProcessHost } from '../conformance/cgroup.ts'
import type { CgroupDriver } from '../../shared/drivers/index.ts'
import { launchRecorded } from './recorded-runtime.ts'
import type { RecordedCgroups } from './recorded-cgroups.ts'

/** Real processes: shells that answer each line, and eat memory when told. */
export class RealProcesses implements ProcessHost {
  readonly #dirsOf: (path: string) => string[]
  readonly #children = new Map<number, ChildProcess>()

  /** `dirsOf`: a group's directory in each hierarchy. */
  constructor(dirsOf: (path: string) => string[]) {
    this.#dirsOf = dirsOf
  }

  /** The shell's first child is the one that eats: the shell itself survives. */
  static readonly #SHELL =
    'while read -r word; do if [ "$word" = eat ]; then tail /dev/zero; echo eaten; else echo "$word"; fi; done'

  async #join(dirs: readonly string[]): Promise<number> {
    const child = spawn('/bin/sh', ['-c', RealProcesses.#SHELL], { stdio: ['pipe', 'pipe', 'ignore'] })
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    this.#children.set(pid, child)
    child.once('exit', () => this.#children.delete(pid))
    child.stdin?.on('error', () => undefined)
    for (const dir of dirs) writeFileSync(join(dir, 'cgroup.procs'), String(pid))
    return pid
  }

  enter(path: string): Promise<number> {
    return this.#join(this.#dirsOf(path))
  }

  enterBelow(path: string, name: string): Promise<number> {
    const dirs = this.#dirsOf(path).map((dir) => join(dir, name))
    for (const dir of dirs) {
      mkdirSync(dir)
      for (const file of dir.includes('/cpuset/') ? ['cpuset.cpus', 'cpuset.mems'] : []) {
        writeFileSync(join(dir, file), '0')
      }
    }
    return this.#join(dirs)
  }

  alive(pid: number): boolean {
    return this.#children.has(pid)
  }

  async exhaustMemory(path: string): Promise<void> {
    const pid = await this.enter(path)
    this.#children.get(pid)?.stdin?.write('eat\n')
  }

  async answers(pid: number, ms: number): Promise<boolean> {
    const child = this.#children.get(pid)
    if (!child?.stdout || !child.stdin) return false
    child.stdout.resume()
    child.stdin.write('hello\n')
    try {
      await once(child.stdout, 'data', { signal: AbortSignal.timeout(ms) })
      return true
    } catch {
      return false
    }
  }

  async dispose(): Promise<void> {
    for (const child of this.#children.values()) child.kill('SIGKILL')
  }
}

/** The processes of a recorded tree are numbers in its files. */
export class RecordedProcesses implements ProcessHost {
  readonly #tree: RecordedCgroups
  #next = 1000

  constructor(tree: RecordedCgroups) {
    this.#tree = tree
  }

  async enter(path: string): Promise<number> {
    this.#tree.enter(path, ++this.#next)
    return this.#next
  }

  async enterBelow(path: string, name: string): Promise<number> {
    for (const dir of this.#tree.dirs(path)) {
      this.#tree.mkdir(join(dir, name))
      if (this.#tree.kind === 'v2') continue
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if (this.#tree.exists(join(dir, name, file))) this.#tree.set(join(dir, name, file), '0')
      }
    }
    return this.enter(join(path, name))
  }

  async launch(_: CgroupDriver, path: string, resources: Readonly<Record<string, unknown>>): Promise<void> {
    launchRecorded(this.#tree, path, resources)
    await this.enter(path)
  }

  alive(pid: number): boolean {
    const search = (dir: string): boolean =>
      (this.#tree.exists(join(dir, 'cgroup.procs')) && this.#tree.procs(dir).includes(String(pid))) ||
      this.#tree.children(dir).some((name) => search(join(dir, name)))
    return search(this.#tree.root)
  }

  async exhaustMemory(path: string): Promise<void> {
    this.#tree.oomKill(path)
  }

  async dispose(): Promise<void> {
    this.#tree.dispose()
  }
}
