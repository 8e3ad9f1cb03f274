import { lookup } from 'node:dns/promises'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { conflict, internal } from '../../../shared/errors/index.ts'
import type {
  DriverContext,
  DriverState,
  ProbeResult,
  RecoveredVolume,
  VolumeDriver,
} from '../../../shared/drivers/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { mountAsync, MS, mountTable, unmount, unmountBelow } from '../../../shared/kernel/mounts.ts'
import { removeTree } from '../../../shared/kernel/tree.ts'
import { manifest } from './config.ts'
import { planMount, serverOf, withServer, type MountPlan } from './plan.ts'

/** Directories `<stateDir>/<name>/_data`; with options, a file system is mounted there while somebody uses it. */
export class LocalVolumeDriver implements VolumeDriver {
  readonly manifest = manifest
  readonly #root: string
  /** Users of volumes that really mount something. */
  readonly #users = new Map<string, Set<string>>()
  /** Volumes with a bind mount: that may have the device of its surroundings, so the kernel does not tell at a glance. */
  readonly #bound = new Set<string>()
  readonly #log: DriverContext['log']

  constructor(context: DriverContext) {
    this.#log = context.log
    this.#root = context.stateDir
    mkdirSync(this.#root, { recursive: true, mode: 0o711 })
  }

  async probe(): Promise<ProbeResult> {
    return { usable: true, rank: 1 }
  }

  validate(options: Readonly<Record<string, string>>): void {
    planMount(options)
  }

  #data = (name: string): string => join(this.#root, name, '_data')

  async create(name: string, options: Readonly<Record<string, string>>): Promise<DriverState> {
    planMount(options)
    mkdirSync(join(this.#root, name), { recursive: true, mode: 0o701 })
    if (!existsSync(this.#data(name))) mkdirSync(this.#data(name), { mode: 0o755 })
    return { version: 1, options: { ...options } }
  }

  async remove(name: string, _state: DriverState | undefined): Promise<void> {
    const users = [...(this.#users.get(name) ?? [])]
    if (users.length > 0) throw conflict(`volume ${name} is mounted by ${users.join(', ')}`)
    if (this.#mounted(name)) unmountBelow(join(this.#root, name))
    await removeTree(join(this.#root, name))
  }

  path(name: string, _state: DriverState): string {
    return this.#data(name)
  }

  #mounted(name: string): boolean {
    try {
      const [data, parent] = [statSync(this.#data(name)), statSync(join(this.#root, name))]
      return data.dev !== parent.dev || this.#bound.has(name)
    } catch (error) {
      if (isCode(error, 'ENOENT')) return false
      throw error
    }
  }

  async mount(name: string, state: DriverState, user: string): Promise<string> {
    const plan = planMount(state['options'] as Record<string, string>)
    if (!plan) return this.#data(name)
    const users = this.#users.get(name) ?? new Set()
    this.#users.set(name, users)
    users.add(user)
    if (this.#mounted(name)) return this.#data(name)
    try {
      await this.#mountPlan(name, plan)
    } catch (error) {
      users.delete(user)
      throw error
    }
    return this.#data(name)
  }

  async #mountPlan(name: string, plan: MountPlan): Promise<void> {
    const { type, device, flags, data } = await resolveServer(plan)
    const target = this.#data(name)
    const bind = (flags & MS.bind) !== 0
    try {
      await mountAsync(device, target, bind ? null : type, flags & (bind ? MS.bind | MS.rec : ~0), bind ? null : data)
      if (bind) this.#bound.add(name)
      // A bind mount takes other flags only in a second step.
      if (bind && (flags & ~(MS.bind | MS.rec)) !== 0) {
        await mountAsync('none', target, null, flags | MS.remount, null)
      }
    } catch (error) {
      if (this.#mounted(name)) this.#unmountData(name)
      throw internal(
        `failed to mount local volume: mount ${device}:${target}, data: ${data}: ${(error as Error).message}`,
        { cause: error },
      )
    }
  }

  #unmountData(name: string): void {
    unmount(this.#data(name))
    this.#bound.delete(name)
  }

  async unmount(name: string, _state: DriverState, user: string): Promise<void> {
    const users = this.#users.get(name)
    if (!users) return
    users.delete(user)
    if (users.size > 0) return
    this.#users.delete(name)
    while (this.#mounted(name)) this.#unmountData(name)
  }

  async recover(volumes: readonly RecoveredVolume[]): Promise<{ readonly unknown: readonly string[] }> {
    const known = new Map(volumes.map((volume) => [volume.name, volume]))
    const table = new Set((await mountTable()).map((entry) => entry.target))
    const unknown: string[] = []
    for (const name of readdirSync(this.#root)) {
      const volume = known.get(name)
      if (!volume) unknown.push(name)
      else if (table.has(this.#data(name))) this.#adopt(volume)
    }
    for (const volume of volumes) {
      await this.create(volume.name, volume.state['options'] as Record<string, string>)
      for (const user of volume.users) {
        // A server that is away now must not keep the others waiting: the volume's containers have their mounts still.
        await this.mount(volume.name, volume.state, user).catch((error: unknown) =>
          this.#log.warn({ err: error, volume: volume.name }, 'a volume in use could not be mounted again'),
        )
      }
    }
    return { unknown }
  }

  /** A mount that is there: kept when somebody uses it. */
  #adopt({ name, users, state }: RecoveredVolume): void {
    const plan = planMount(state['options'] as Record<string, string>)
    if (plan && (plan.flags & MS.bind) !== 0) this.#bound.add(name)
    if (users.length === 0) while (this.#mounted(name)) this.#unmountData(name)
  }

  async close(): Promise<void> {}
}

/** The kernel takes addresses only; mount(8) and Docker look names up. */
async function resolveServer(plan: MountPlan): Promise<MountPlan> {
  const server = serverOf(plan)
  if (server === undefined || isIP(server) !== 0) return plan
  const { address } = await lookup(server)
  return withServer(plan, address)
}
