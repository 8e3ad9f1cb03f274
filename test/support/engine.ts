import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../shared/config/index.ts'
import { api } from './api.ts'
import { IMAGE, importBusybox } from './busybox.ts'
import { command, type CommandOptions, type CommandResult } from './command.ts'
import { engineProcesses, kernelState, leaksSince, type LeakScope } from './leaks.ts'

const GANTRY = join(import.meta.dirname, '..', '..', 'deploy', 'gantry')

export interface EngineOptions {
  readonly singleProcess?: boolean
  /** Members of gantry.json besides the addresses. */
  readonly config?: Record<string, unknown>
}

interface StatusReport {
  readonly supervisor: number | null
  readonly nats: { readonly pid: number | null; readonly state: string }
  readonly services: readonly { readonly name: string; readonly pid: number | null; readonly ready: boolean }[]
}

/** An engine of its own, in temporary folders, with its own bridge, subnets, cgroup parent and nftables table. */
export class TestEngine {
  readonly directory: string
  readonly socket: string
  readonly env: NodeJS.ProcessEnv
  /** Short name of the engine: prefix of what it makes in the kernel. */
  readonly name: string
  readonly scope: LeakScope
  readonly #up: readonly string[]
  #idle: string[] = []

  constructor(options: EngineOptions) {
    this.directory = mkdtempSync(join(tmpdir(), 'gt-'))
    const config = join(this.directory, 'gantry.json')
    // Two neighbouring /16 of 10/8 for each engine, chosen by its folder: the default bridge and the pool of the other networks.
    const octet = 128 + ((createHash('sha256').update(this.directory).digest()[0] ?? 0) % 48) * 2
    const network = { defaultBridge: `10.${octet}.0.1/16`, pools: [{ base: `10.${octet + 1}.0.0/16`, size: 24 }] }
    writeFileSync(config, JSON.stringify({ network, ...options.config }))
    this.env = {
      ...process.env,
      GANTRY_ROOT: join(this.directory, 'root'),
      GANTRY_RUN: join(this.directory, 'run'),
      GANTRY_CONFIG: config,
    }
    const loaded = loadConfig(this.env)
    this.socket = loaded.socket
    this.name = loaded.engine
    this.scope = { engine: this.name, directories: [this.directory] }
    this.env['DOCKER_HOST'] = `unix://${this.socket}`
    this.env['DOCKER_CLI_HINTS'] = 'false'
    // The user's own contexts and plugins have no part in the test.
    this.env['DOCKER_CONFIG'] = join(this.directory, 'docker')
    this.#up = options.singleProcess === true ? ['up', '--single-process'] : ['up']
  }

  /** `gantry up`; throws with what it printed and the end of the log. */
  async up(): Promise<void> {
    const result = await this.gantry(...this.#up)
    if (result.code !== 0) {
      throw new Error(`gantry up: exit code ${result.code}\n${result.stdout}${result.stderr}\n${this.logTail()}`)
    }
  }

  gantry(...args: string[]): Promise<CommandResult> {
    return command(GANTRY, args, { env: this.env, timeoutMs: 90_000 })
  }

  /** The docker command, pointed at this engine. */
  docker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return command('docker', args, { ...options, env: { ...this.env, ...options.env } })
  }

  async status(): Promise<StatusReport> {
    return JSON.parse((await this.gantry('status', '--json')).stdout) as StatusReport
  }

  async pidOf(name: string): Promise<number> {
    const status = await this.status()
    const pid =
      name === 'supervisor'
        ? status.supervisor
        : name === 'nats-server'
          ? status.nats.pid
          : status.services.find((service) => service.name === name)?.pid
    if (typeof pid !== 'number') throw new Error(`no pid of ${name}: ${JSON.stringify(status)}`)
    return pid
  }

  /** kill -9 of a service, `nats-server` or `supervisor`; returns the pid that was. */
  async kill(name: string): Promise<number> {
    const pid = await this.pidOf(name)
    process.kill(pid, 'SIGKILL')
    return pid
  }

  /** Takes what the kernel holds now as what an idle engine holds. */
  markIdle(): void {
    this.#idle = kernelState(this.scope)
  }

  /** What the engine holds more than when it was idle; empty when nothing was left behind. */
  leaks(): Promise<string[]> {
    return leaksSince(this.#idle, this.scope)
  }

  /** Runs a container to its end: what an engine makes for its first one (such as its parent cgroup) then is there. */
  async runOnce(): Promise<void> {
    const body = { Image: IMAGE, Cmd: ['true'] }
    const { Id } = (await api(this.socket, 'POST', '/containers/create', body)).json<{ Id: string }>()
    await api(this.socket, 'POST', `/containers/${Id}/start`)
    await api(this.socket, 'POST', `/containers/${Id}/wait`)
    await api(this.socket, 'DELETE', `/containers/${Id}`)
  }

  async removeContainers(): Promise<void> {
    const containers = (await api(this.socket, 'GET', '/containers/json?all=1')).json<{ Id: string }[]>()
    await Promise.all(containers.map(({ Id }) => api(this.socket, 'DELETE', `/containers/${Id}?force=1&v=1`)))
  }

  logTail(lines = 40): string {
    try {
      return readFileSync(join(this.directory, 'root', 'logs', 'gantry.log'), 'utf8')
        .split('\n')
        .slice(-lines)
        .join('\n')
    } catch {
      return '(no log)'
    }
  }

  /** Ends the engine and takes away what an idle one keeps (bridge, table, cgroups, folders). Never throws. */
  async stop(): Promise<void> {
    await this.removeContainers().catch(() => undefined)
    await api(this.socket, 'POST', '/networks/prune').catch(() => undefined)
    await this.gantry('down').catch(() => undefined)
    for (const { pid } of engineProcesses(this.scope)) process.kill(pid, 'SIGKILL')
    for (const line of kernelState(this.scope)) await this.#remove(line).catch(() => undefined)
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #remove(line: string): Promise<void> {
    const [kind = '', first = '', second = '', third = ''] = line.split(' ')
    if (kind === 'link' && first.startsWith(this.name)) await command('ip', ['link', 'delete', first])
    else if (kind === 'nft') await command('nft', ['delete', 'table', second, third])
    else if (kind === 'mount') await command('umount', ['-l', second])
    else if (kind === 'cgroup') removeCgroup(join('/sys/fs/cgroup', first))
  }
}

/** A cgroup folder goes only when the ones below are gone. */
function removeCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name))
  }
  rmdirSync(path)
}

/** Starts an engine with the test image. The caller stops it, also when its tests fail. */
export async function startEngine(options: EngineOptions = {}): Promise<TestEngine> {
  const engine = new TestEngine(options)
  try {
    await engine.up()
    await importBusybox(engine.socket)
    await engine.runOnce()
  } catch (error) {
    await engine.stop()
    throw error
  }
  engine.markIdle()
  return engine
}
