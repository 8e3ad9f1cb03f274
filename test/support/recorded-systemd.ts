import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { SystemdBus } from '../../plugins/cgroup/systemd/bus.ts'
import type { SystemdHost } from '../../plugins/cgroup/systemd/driver.ts'
import type { UnitProperty } from '../../plugins/cgroup/systemd/properties.ts'
import type { RecordedCgroups } from './recorded-cgroups.ts'

/** So much of systemd as the driver speaks to, on a recorded tree. */
export class RecordedSystemd implements SystemdHost, SystemdBus {
  readonly bus = this
  readonly runDir: string
  readonly #tree: RecordedCgroups
  /** What was set, by unit. */
  readonly properties = new Map<string, Map<string, UnitProperty>>()
  name = 'systemd'

  constructor(tree: RecordedCgroups, runDir: string) {
    this.#tree = tree
    this.runDir = runDir
    mkdirSync(join(runDir, 'system'), { recursive: true })
  }

  init(): string {
    return this.name
  }

  async version(): Promise<string> {
    return '252 (recorded)'
  }

  async setProperties(unit: string, properties: readonly UnitProperty[]): Promise<void> {
    const own = this.properties.get(unit) ?? new Map<string, UnitProperty>()
    this.properties.set(unit, own)
    for (const property of properties) own.set(property[0], property)
  }

  async getProperties(unit: string, properties: readonly UnitProperty[]): Promise<UnitProperty[]> {
    const own = this.properties.get(unit)
    return properties.map(([name, signature]) => own?.get(name) ?? [name, signature, 2n ** 64n - 1n])
  }

  /** Removes the scope's group, and slices that are not needed any more. */
  async stop(unit: string): Promise<void> {
    this.properties.delete(unit)
    const find = (dir: string): string[] =>
      this.#tree.children(dir).flatMap((name) => (name === unit ? [join(dir, name)] : find(join(dir, name))))
    for (const dir of find(this.#tree.root)) {
      const below = (d: string): string[] => [...this.#tree.children(d).flatMap((n) => below(join(d, n))), d]
      for (const d of below(dir)) this.#tree.rmdir(d)
      for (let slice = dirname(dir); slice.endsWith('.slice'); slice = dirname(slice)) this.#tree.rmdir(slice)
    }
  }

  /** Unit files that the driver wrote. */
  units(): string[] {
    return readdirSync(join(this.runDir, 'system'))
  }

  close(): void {
    if (!existsSync(this.runDir)) throw new Error('closed after its end')
  }
}
