import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CgroupDriver } from '../../shared/drivers/index.ts'
import { RealProcesses } from './cgroup-processes.ts'

const run = promisify(execFile)

interface Spec {
  process: { terminal: boolean; args: string[] }
  linux: { cgroupsPath: string; resources: Record<string, unknown> }
}

/** Real processes, and containers of runc in groups. */
export class RuncProcesses extends RealProcesses {
  readonly #dir: string
  readonly #containers: string[] = []

  readonly #systemd: boolean

  constructor(dirsOf: (path: string) => string[], dir: string, systemd: boolean) {
    super(dirsOf)
    this.#dir = dir
    this.#systemd = systemd
  }

  /** No pipes: the container would keep them open. */
  async #runc(...args: string[]): Promise<void> {
    const log = join(this.#dir, 'runc.log')
    const all = [
      '--root',
      join(this.#dir, 'runc'),
      '--log',
      log,
      ...(this.#systemd ? ['--systemd-cgroup'] : []),
      ...args,
    ]
    const [code] = (await once(spawn('runc', all, { stdio: 'ignore' }), 'exit')) as [number]
    if (code !== 0) throw new Error(`runc ${args[0]} failed: ${readFileSync(log, 'utf8')}`)
  }

  async launch(driver: CgroupDriver, path: string, resources: Readonly<Record<string, unknown>>): Promise<void> {
    await this.run(driver.runtimePath(path), resources, ['/bin/sleep', '1000'])
  }

  /** Runs a container of busybox; its name. */
  async run(cgroupsPath: string, resources: Readonly<Record<string, unknown>>, args: string[]): Promise<string> {
    const name = `c${this.#containers.length}-${process.pid}`
    const bundle = join(this.#dir, name)
    mkdirSync(join(bundle, 'rootfs', 'bin'), { recursive: true })
    copyFileSync('/bin/busybox', join(bundle, 'rootfs', 'bin', 'busybox'))
    for (const applet of ['sh', 'sleep', 'tail']) symlinkSync('busybox', join(bundle, 'rootfs', 'bin', applet))
    await run('runc', ['spec', '--bundle', bundle])
    const file = join(bundle, 'config.json')
    const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec
    spec.process.terminal = false
    spec.process.args = args
    spec.linux.cgroupsPath = cgroupsPath
    spec.linux.resources = { ...spec.linux.resources, ...resources }
    writeFileSync(file, JSON.stringify(spec))
    this.#containers.push(name)
    await this.#runc('create', '--bundle', bundle, name)
    await this.#runc('start', name)
    return name
  }

  /** Kills it, and removes its groups, as runtimes do. */
  async delete(name: string): Promise<void> {
    await this.#runc('delete', '--force', name)
  }

  override async dispose(): Promise<void> {
    await super.dispose()
    for (const name of this.#containers) await this.delete(name).catch(() => undefined)
  }
}
