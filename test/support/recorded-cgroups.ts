import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { type HostFacts, RealCgroupFs } from '../../shared/kernel/cgroupfs.ts'
import { V1_GROUP, V1_ROOT, V2_CONTROLLER, V2_CORE, V2_ROOT } from './recorded-cgroup-files.ts'
import { rulesFor } from './recorded-cgroup-rules.ts'

export type HostKind = 'v1' | 'v2' | 'hybrid'

/** An error as the kernel gives it. */
export function errno(code: string, what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: recorded tree, ${what}`), { code })
}

/**
 * A recorded cgroup tree in a temporary directory, for tests without root: the files of a real host, and so much of the kernel's
 * behaviour that a wrong order of writes, a missing parent or a leaked group is noticed. No process is real: they are put in
 * with `enter`.
 */
export class RecordedCgroups extends RealCgroupFs {
  readonly root: string
  readonly kind: HostKind
  /** Every write, `<path below root>=<value>`, in order. */
  readonly written: string[] = []
  /** Writes to these files (by name) fail with this code. */
  readonly failing = new Map<string, string>()
  /** Called before each change to the tree; what it throws comes out of the call. */
  onChange: ((what: string) => void) | undefined
  readonly #watchers = new Map<string, Set<() => void>>()

  constructor(kind: HostKind) {
    super()
    this.kind = kind
    this.root = mkdtempSync(join(tmpdir(), 'recorded-cgroups-'))
    if (kind === 'v2') {
      this.#fill(this.root, V2_ROOT)
      return
    }
    for (const [hierarchy, files] of Object.entries(V1_ROOT)) this.#makeRoot(hierarchy, files)
    if (kind === 'hybrid') {
      this.#makeRoot('unified', { ...V2_ROOT, 'cgroup.controllers': 'hugetlb\n', 'cgroup.subtree_control': '\n' })
    }
  }

  dispose(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  #makeRoot(name: string, files: Readonly<Record<string, string>>): void {
    mkdirSync(join(this.root, name))
    this.#fill(join(this.root, name), files)
  }

  #fill(dir: string, files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  }

  override get host(): HostFacts {
    return { memoryTotal: 8 * 2 ** 30, onlineCpus: 2, systemCpuNanos: () => 1_000_000_000 }
  }

  override mountinfo(): string {
    return ''
  }

  override hugePageSizes(): string[] {
    return ['hugepages-2048kB', 'hugepages-1048576kB']
  }

  override blockDevice(path: string): string {
    const device = { '/dev/vda': '254:0', '/dev/vdb': '254:16' }[path]
    if (device === undefined) throw errno(path.startsWith('/dev/') ? 'ENOENT' : 'ENOTBLK', path)
    return device
  }

  /** The v1 hierarchy that a directory is in; undefined in a v2 tree. */
  #hierarchy(dir: string): string | undefined {
    const name = relative(this.root, dir).split('/')[0] ?? ''
    return this.kind === 'v2' || name === 'unified' ? undefined : name
  }

  override mkdir(path: string): boolean {
    this.onChange?.(`mkdir ${path}`)
    const isNew = super.mkdir(path)
    if (!isNew) return false
    this.changed(dirname(path))
    const hierarchy = this.#hierarchy(path)
    if (hierarchy !== undefined) this.#fill(path, V1_GROUP[hierarchy] ?? {})
    else {
      const above = readFileSync(join(dirname(path), 'cgroup.subtree_control'), 'utf8')
      this.#fill(path, { ...V2_CORE, 'cgroup.controllers': above })
      for (const controller of above.trim().split(/\s+/)) this.#fill(path, V2_CONTROLLER[controller] ?? {})
    }
    return true
  }

  /** Files of a group are no obstacle, groups below and processes are. */
  override rmdir(path: string): 'removed' | 'missing' | 'busy' {
    if (!statSync(path, { throwIfNoEntry: false })) return 'missing'
    this.onChange?.(`rmdir ${path}`)
    if (this.children(path).length > 0 || this.procs(path).length > 0) return 'busy'
    for (const name of readdirSync(path)) rmSync(join(path, name))
    rmdirSync(path)
    return 'removed'
  }

  override write(path: string, value: string): void {
    const name = basename(path)
    this.onChange?.(`write ${path}`)
    if (!statSync(path, { throwIfNoEntry: false })) throw errno('ENOENT', path)
    const code = this.failing.get(name)
    if (code !== undefined) throw errno(code, path)
    this.written.push(`${relative(this.root, path)}=${value}`)
    const rule = rulesFor(name)
    if (rule) rule(this, dirname(path), value.trim())
    else this.set(path, value.trim())
  }

  /** What the kernel does by itself: the content changes, and who watches is told. */
  set(path: string, text: string): void {
    writeFileSync(path, text === '' ? '' : `${text}\n`)
    this.changed(path)
  }

  /** Tells those who watch a file or directory. */
  changed(path: string): void {
    for (const changed of [...(this.#watchers.get(path) ?? [])]) setImmediate(changed)
  }

  get(path: string): string {
    return readFileSync(path, 'utf8').trim()
  }

  /** Adds a controller's files to the groups right below. */
  handDown(dir: string, controller: string): void {
    for (const name of this.children(dir)) {
      const child = join(dir, name)
      this.#fill(child, V2_CONTROLLER[controller] ?? {})
      this.set(join(child, 'cgroup.controllers'), this.get(join(dir, 'cgroup.subtree_control')))
    }
  }

  override watch(path: string, changed: () => void): () => void {
    const watchers = this.#watchers.get(path) ?? new Set()
    this.#watchers.set(path, watchers.add(changed))
    return () => void watchers.delete(changed)
  }

  override registerEvent(dir: string, file: string, signalled: () => void): () => void {
    return this.watch(join(dir, file), signalled)
  }

  procs(dir: string): string[] {
    return this.get(join(dir, 'cgroup.procs'))
      .split('\n')
      .filter((pid) => pid !== '')
  }

  /** Every directory of a group: one a hierarchy. */
  dirs(path: string): string[] {
    const roots = this.kind === 'v2' ? [this.root] : this.children(this.root).map((name) => join(this.root, name))
    return roots.map((root) => join(root, path)).filter((dir) => this.exists(dir))
  }

  /** What all files of a group say. */
  contents(path: string): Record<string, string> {
    const files = this.dirs(path).flatMap((dir) =>
      readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isFile() ? [join(dir, e.name)] : [])),
    )
    return Object.fromEntries(files.map((file) => [relative(this.root, file), this.get(file)]))
  }

  /** A process of the group runs for a microsecond: those above count it, too. */
  useCpu(path: string): void {
    for (const dir of this.dirs(path)) {
      for (let d = dir; d !== this.root; d = dirname(d)) {
        const [v1, v2] = [join(d, 'cpuacct.usage_percpu'), join(d, 'cpu.stat')]
        if (this.exists(v1))
          this.set(
            v1,
            this.get(v1).replace(/^\d+/, (n) => String(Number(n) + 1000)),
          )
        if (!this.exists(v2)) continue
        this.set(
          v2,
          this.get(v2).replace(/^usage_usec (\d+)/m, (_, n: string) => `usage_usec ${Number(n) + 1}`),
        )
      }
    }
  }

  /** A process joins a group in every hierarchy. */
  enter(path: string, pid: number): void {
    for (const dir of this.dirs(path)) this.write(join(dir, 'cgroup.procs'), String(pid))
  }

  override kill(pid: number): void {
    const visit = (dir: string): void => {
      if (this.exists(join(dir, 'cgroup.procs')))
        this.setProcs(
          dir,
          this.procs(dir).filter((p) => p !== String(pid)),
        )
      for (const name of this.children(dir)) visit(join(dir, name))
    }
    visit(this.root)
  }

  setProcs(dir: string, pids: readonly string[]): void {
    if (pids.join() === this.procs(dir).join()) return
    this.set(join(dir, 'cgroup.procs'), pids.join('\n'))
    for (let d = dir; this.exists(join(d, 'cgroup.events')); d = dirname(d)) {
      const populated = this.#populated(d) ? 1 : 0
      this.set(
        join(d, 'cgroup.events'),
        this.get(join(d, 'cgroup.events')).replace(/populated \d/, `populated ${populated}`),
      )
    }
  }

  #populated(dir: string): boolean {
    return this.procs(dir).length > 0 || this.children(dir).some((name) => this.#populated(join(dir, name)))
  }

  /**
   * The OOM killer kills once in a group; the process needs CPU time to die. v1 counts it there and tells the group whose limit it was; v2 counts it in the nearest group
   * with the controller, and in those above.
   */
  oomKill(path: string): void {
    const count = (file: string): void =>
      this.set(
        file,
        this.get(file).replace(/^oom_kill (\d+)/m, (_, n: string) => `oom_kill ${Number(n) + 1}`),
      )
    this.useCpu(path)
    for (const dir of this.dirs(path)) {
      const above: string[] = []
      for (let d = dir; d !== this.root; d = dirname(d)) above.push(d)
      const v1 = join(dir, 'memory.oom_control')
      if (this.exists(v1)) {
        count(v1)
        const limit = (d: string): string => join(d, 'memory.limit_in_bytes')
        const limited = above.find((d) => this.exists(limit(d)) && Number(this.get(limit(d))) < 2 ** 60)
        if (limited !== undefined) this.changed(join(limited, 'memory.oom_control'))
      }
      const counted = above.filter((d) => this.exists(join(d, 'memory.events')))
      counted.slice(0, 1).forEach((d) => count(join(d, 'memory.events.local')))
      counted.forEach((d) => count(join(d, 'memory.events')))
    }
  }
}
