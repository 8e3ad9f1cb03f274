import { readdir } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { DriverInfo } from '../contracts/index.ts'
import { internal, notFound, unavailable } from '../errors/index.ts'
import type { Driver, DriverContext, DriverKind, DriverModule, ProbeResult } from './driver.ts'

const here = fileURLToPath(import.meta.url)
const pluginsDir = join(dirname(here), '..', '..', 'plugins')

/** Names of the drivers of a kind that come with the engine: the folders of `plugins/<kind>`, templates left out. */
export async function bundledDrivers(kind: DriverKind): Promise<string[]> {
  const entries = await readdir(join(pluginsDir, kind), { withFileTypes: true }).catch(() => [])
  return entries.filter((e) => e.isDirectory() && !e.name.startsWith('_')).map((e) => e.name)
}

/** Loads a driver module from its folder; only this function reaches a plugin. */
export async function loadDriverModule<D extends Driver, C extends DriverContext>(
  kind: DriverKind,
  folder: string,
): Promise<DriverModule<D, C>> {
  const loaded = (await import(pathToFileURL(join(folder, `index${extname(here)}`)).href)) as {
    default?: DriverModule<D, C>
  }
  const module = loaded.default
  if (!module || typeof module.create !== 'function') throw internal(`${folder} exports no driver module as default`)
  if (module.manifest.kind !== kind) {
    throw internal(`driver ${module.manifest.name} is of kind ${module.manifest.kind}, not ${kind}`)
  }
  return module
}

interface Entry<D> {
  driver: D
  probe: ProbeResult
}

/** The drivers of one kind in one service: loaded, probed, with a default. */
export class DriverSet<D extends Driver> {
  readonly kind: DriverKind
  readonly #entries = new Map<string, Entry<D>>()
  #default: string | undefined

  constructor(kind: DriverKind) {
    this.kind = kind
  }

  /** Loads and probes every bundled driver. `preferred` (from the configuration) is the default if it can run. */
  static async load<D extends Driver, C extends DriverContext>(
    kind: DriverKind,
    contextFor: (name: string) => C,
    preferred?: string,
  ): Promise<DriverSet<D>> {
    const set = new DriverSet<D>(kind)
    for (const name of await bundledDrivers(kind)) {
      const module = await loadDriverModule<D, C>(kind, join(pluginsDir, kind, name))
      await set.add(module.create(contextFor(module.manifest.name)))
    }
    set.chooseDefault(preferred)
    return set
  }

  async add(driver: D): Promise<void> {
    const probe = await driver
      .probe()
      .catch((error: unknown): ProbeResult => ({ usable: false, reason: String(error) }))
    this.#entries.set(driver.manifest.name, { driver, probe })
  }

  chooseDefault(preferred?: string): void {
    if (preferred !== undefined && preferred !== '') {
      this.get(preferred)
      this.#default = preferred
      return
    }
    let best = -Infinity
    for (const [name, { probe }] of this.#entries) {
      if (probe.usable && probe.rank > best) {
        best = probe.rank
        this.#default = name
      }
    }
  }

  get defaultName(): string | undefined {
    return this.#default
  }

  /** The default driver, or `unavailable` with every driver's reason. */
  default(): D {
    if (this.#default !== undefined) return this.get(this.#default)
    const reasons = this.list().map((d) => `${d.name}: ${d.reason ?? 'not usable'}`)
    throw unavailable(`no ${this.kind} driver can run here (${reasons.join('; ')})`)
  }

  /** A driver by name: `not-found` when there is none, `unavailable` with the reason when it cannot run here. */
  get(name: string): D {
    const entry = this.#entries.get(name)
    if (!entry)
      throw notFound(`${this.kind} driver "${name}" not found (there are: ${[...this.#entries.keys()].join(', ')})`)
    if (!entry.probe.usable) throw unavailable(`${this.kind} driver "${name}" cannot run here: ${entry.probe.reason}`)
    return entry.driver
  }

  usable(): D[] {
    return [...this.#entries.values()].filter((e) => e.probe.usable).map((e) => e.driver)
  }

  list(): DriverInfo[] {
    return [...this.#entries.values()].map(({ driver, probe }) => ({
      kind: this.kind,
      name: driver.manifest.name,
      version: driver.manifest.version,
      default: driver.manifest.name === this.#default,
      usable: probe.usable,
      ...(probe.usable ? {} : { reason: probe.reason }),
      capabilities: { ...driver.manifest.capabilities },
    }))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((e) => e.driver.close()))
  }
}
