import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keepBeginning, sessionLogReader, sessionLogArgs, withEarlyOutput } from '../conmon/session-log.ts'
import { connectStdio } from '../conmon/stdio.ts'
import { ExitDirectory } from '../conmon/exits.ts'
import { RuntimeFailure, startShim, type ShimOptions } from '../conmon/shim.ts'
import type {
  CreateSpec,
  DriverContext,
  DriverManifest,
  DriverState,
  ExecDriver,
  ExecSpec,
  OutputReader,
  ProbeResult,
  ProcessHandle,
  SessionHandle,
  StdioConnection,
} from '../drivers/index.ts'
import { createFailure, execFailure } from './errors.ts'
import { configuredGroup, joinedV2Group } from './groups.ts'
import { lostStatus, OciContainer, OciSession, readProcessRecord, type ProcessRecord } from './handles.ts'
import { OciPaths } from './paths.ts'
import { probeRuntime, type ProbedRuntime, type RuntimeCall, type RuntimeCommand } from './probe.ts'
import { endContainer, endSession, removeTree } from './removal.ts'

/** What one OCI runtime does its own way. */
export interface OciRuntime {
  /** Program name. */
  readonly name: string
  /** How to install it. */
  readonly install: string
  /** Rank among usable drivers: the faster the higher. */
  readonly rank: number
  /** The runtime's message in what it wrote to stderr. */
  message(stderr: string): string
  /** How else it can be called where it refuses to run when called plainly; undefined when there is no other way. */
  otherWay?(path: string): RuntimeCall | undefined
  /** Lets a created process go on. */
  release(container: CreatedContainer): Promise<void>
}

/** A container whose process waits for its start. */
export interface CreatedContainer {
  readonly id: string
  /** How the runtime is called, and its `--root`. */
  readonly command: RuntimeCommand
  readonly runtimeRoot: string
  /** Resolves when the process has ended. */
  readonly exited: Promise<unknown>
}

/** How often shims are looked for that were killed and so left no exit file. */
const SHIM_CHECK_MS = 2000

const isId = (name: string): boolean => /^[a-f0-9]{64}$/.test(name)

/** The exec driver for any runtime with runc's command line, under conmon. */
export class OciRuntimeDriver implements ExecDriver {
  readonly manifest: DriverManifest
  readonly #own: OciRuntime
  readonly #engine: string
  readonly #paths: OciPaths
  readonly #exits: ExitDirectory
  readonly #containers = new Map<string, OciContainer>()
  #probed: ProbedRuntime = { path: '', call: () => [''], version: '', conmon: '' }
  #shimCheck: NodeJS.Timeout | undefined

  constructor(manifest: DriverManifest, runtime: OciRuntime, context: DriverContext) {
    this.manifest = manifest
    this.#own = runtime
    this.#paths = new OciPaths(context.runDir)
    this.#exits = new ExitDirectory(this.#paths.exits)
    this.#engine = context.engine
  }

  get runtime(): { readonly path: string; readonly version: string } {
    return this.#probed
  }

  async probe(): Promise<ProbeResult> {
    const result = await probeRuntime(this.#own, this.#paths, this.#engine)
    if ('reason' in result) return { usable: false, reason: result.reason }
    this.#probed = result
    return { usable: true, rank: this.#own.rank }
  }

  async create(spec: CreateSpec): Promise<ProcessHandle> {
    const dir = this.#paths.bundle(spec.id)
    rmSync(join(this.#paths.exits, spec.id), { force: true })
    mkdirSync(this.#paths.exits, { recursive: true, mode: 0o700 })
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    writeFileSync(join(dir, 'config.json'), spec.config, { mode: 0o600 })
    try {
      const started = await startShim({
        ...this.#shim(spec.id, dir, this.#paths.exits, configuredGroup(spec.config)),
        logArgs: spec.logArgs,
        terminal: spec.terminal,
        stdin: spec.stdin,
        leaveStdinOpen: !spec.stdinOnce,
        systemdCgroup: spec.systemdCgroup,
      })
      const handle = this.#container(spec.id, readProcessRecord(started.pid))
      this.#containers.set(spec.id, handle)
      return handle
    } catch (error) {
      await this.remove(spec.id)
      if (error instanceof RuntimeFailure) throw createFailure(this.#own.message(error.message))
      throw error
    }
  }

  recover(id: string, state: DriverState): ProcessHandle | undefined {
    const known = this.#containers.get(id)
    if (known) return known
    const handle = this.#container(id, state as ProcessRecord)
    if (!this.#exits.read(id) && !handle.alive) return undefined
    this.#containers.set(id, handle)
    return handle
  }

  async exec(spec: ExecSpec): Promise<SessionHandle> {
    const dir = this.#paths.session(spec.id)
    const processFile = join(dir, 'process.json')
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    writeFileSync(processFile, JSON.stringify(spec.process), { mode: 0o600 })
    const log = this.#paths.sessionLog(spec.id)
    let stdio: StdioConnection | undefined
    const attached = async (): Promise<void> => {
      keepBeginning(log)
      stdio = withEarlyOutput(connectStdio(this.#paths.attach(dir)), log)
    }
    try {
      const started = await startShim(
        {
          ...this.#shim(spec.container.id, dir, dir, joinedV2Group(spec.container.pid)),
          logArgs: spec.attach ? sessionLogArgs(log) : ['-l', 'none'],
          terminal: spec.terminal,
          stdin: spec.stdin,
          leaveStdinOpen: false,
          systemdCgroup: false,
          processFile,
        },
        spec.attach ? attached : undefined,
      )
      const record = { ...readProcessRecord(started.pid), container: spec.container.id }
      return new OciSession(spec.id, record, this.#paths, { ended: started.ended, ...(stdio ? { stdio } : {}) })
    } catch (error) {
      stdio?.close()
      await this.removeSession(spec.id)
      if (error instanceof RuntimeFailure) throw execFailure(this.#own.message(error.message))
      throw error
    }
  }

  recoverSession(id: string, state: DriverState): SessionHandle | undefined {
    if (!existsSync(this.#paths.session(id))) return undefined
    return new OciSession(id, state as ProcessRecord, this.#paths)
  }

  sessionOutput(id: string): OutputReader | undefined {
    return sessionLogReader(this.#paths.sessionLog(id))
  }

  async remove(id: string): Promise<void> {
    if (!this.#exits.read(id)) {
      await endContainer({
        id,
        dir: this.#paths.bundle(id),
        exited: () => this.#exits.wait(id),
        command: this.#probed.call(''),
        runtimeRoot: this.#paths.state,
      })
    }
    this.#containers.delete(id)
    // Its exit file goes now, maybe before the watch has told of it.
    this.#exits.settle(id, this.#exits.read(id) ?? lostStatus())
    for (const path of [join(this.#paths.state, id), this.#paths.bundle(id), join(this.#paths.exits, id)]) {
      removeTree(path)
    }
  }

  async removeSession(id: string): Promise<void> {
    const dir = this.#paths.session(id)
    endSession(dir)
    removeTree(dir)
  }

  async list(): Promise<{ containers: readonly string[]; sessions: readonly string[] }> {
    const names = (dir: string): string[] => {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      return readdirSync(dir)
    }
    const exits = names(this.#paths.exits)
    const containers = new Set([...names(this.#paths.bundles), ...names(this.#paths.state), ...exits.filter(isId)])
    // A shim that was killed while it wrote an exit file leaves a temporary one.
    for (const name of exits) {
      if (!isId(name) && !containers.has(name.split('.')[0] ?? ''))
        rmSync(join(this.#paths.exits, name), { force: true })
    }
    return { containers: [...containers].filter(isId), sessions: names(this.#paths.sessions) }
  }

  async close(): Promise<void> {
    clearInterval(this.#shimCheck)
    this.#exits.close()
    this.#containers.clear()
  }

  #shim(
    id: string,
    dir: string,
    exitDir: string,
    group: string,
  ): Pick<ShimOptions, 'conmon' | 'runtime' | 'runtimeArgs' | 'id' | 'dir' | 'exitDir'> {
    const [runtime, ...args] = this.#probed.call(group)
    return {
      conmon: this.#probed.conmon,
      runtime,
      runtimeArgs: [...args, '--root', this.#paths.state],
      id,
      dir,
      exitDir,
    }
  }

  #container(id: string, record: ProcessRecord): OciContainer {
    this.#shimCheck ??= setInterval(() => this.#checkShims(), SHIM_CHECK_MS).unref()
    const exited = this.#exits.wait(id)
    const created = { id, command: this.#probed.call(''), runtimeRoot: this.#paths.state, exited }
    return new OciContainer(id, record, this.#paths, exited, () => this.#own.release(created))
  }

  /** A shim that was killed writes no exit file: its process, which has lost its stdio, is ended. */
  #checkShims(): void {
    for (const id of this.#exits.pending) {
      const handle = this.#containers.get(id)
      if (!handle || handle.shimAlive || this.#exits.read(id)) continue
      handle.signal(9)
      this.#exits.settle(id, lostStatus())
    }
  }
}
