import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import {
  type DriverContext,
  type DriverState,
  type EndpointSpec,
  loadDriverModule,
  type NetworkDriver,
  type NetworkSpec,
} from '../../shared/drivers/index.ts'
import { syscallFn } from '../../shared/kernel/libc.ts'
import { createNetns, deleteNetns, isNetns, withNetnsLink } from '../../shared/kernel/netns.ts'
import { RtNetlink } from '../../shared/kernel/rtnetlink.ts'
import { createLogger } from '../../shared/log/index.ts'
import { until } from '../support/until.ts'

/** How to make one driver for the suite. */
export interface NetworkSuiteOptions {
  /** What the suite is called; default: the driver's name. */
  readonly title?: string
  /** Folder under plugins/network. */
  readonly driver: string
  /** Options without which it makes no network. */
  readonly options?: Readonly<Record<string, string>>
  /** What it needs on the host, made in the suite's own namespace. */
  readonly prepare?: (host: RtNetlink) => void
  /** A driver option that sets the MTU. */
  readonly mtuOption?: string
}

const CLONE_NEWNET = 0x40000000
const newId = (): string => randomBytes(32).toString('hex')

export const addressOf = (endpoint: EndpointSpec, v6 = false): string =>
  (endpoint.addresses.find((a) => a.includes(':') === v6) ?? '').split('/')[0] ?? ''

/** The suite's host: a namespace of its own, a driver, sandboxes. */
export class World {
  readonly engine = `t${randomBytes(3).toString('hex')}`
  readonly dir = mkdtempSync(join(tmpdir(), 'gantry-network-'))
  readonly #options: NetworkSuiteOptions
  readonly #folder: string
  readonly #netns = new Set<string>()
  #networks = 0
  #driver: NetworkDriver | undefined
  #host: RtNetlink | undefined

  constructor(options: NetworkSuiteOptions, folder: string) {
    this.#options = options
    this.#folder = folder
  }

  get driver(): NetworkDriver {
    assert.ok(this.#driver)
    return this.#driver
  }

  get host(): RtNetlink {
    return (this.#host ??= new RtNetlink())
  }

  async open(): Promise<void> {
    syscallFn('int unshare(int flags)')(CLONE_NEWNET)
    this.host.setLink('lo', { up: true })
    this.#options.prepare?.(this.host)
    await this.restart()
  }

  /** A new driver, as after a restart of the service. */
  async restart(): Promise<void> {
    await this.#driver?.close()
    const module = await loadDriverModule<NetworkDriver, DriverContext>('network', this.#folder)
    const log = createLogger('conformance', 'silent')
    this.#driver = module.create({ log, engine: this.engine, stateDir: this.dir, runDir: this.dir })
  }

  async close(): Promise<void> {
    await this.#driver?.close()
    for (const path of this.#netns) deleteNetns(path)
    rmSync(this.dir, { recursive: true, force: true })
    this.#host?.close()
  }

  capability(name: string): unknown {
    return this.driver.manifest.capabilities[name]
  }

  network(): NetworkSpec {
    const n = ++this.#networks
    const ipam = this.capability('ipam') === true
    const v6 = this.capability('ipv6') === true
    return {
      id: newId(),
      name: `net${n}`,
      subnets: ipam
        ? [
            { cidr: `10.99.${n}.0/24`, gateway: `10.99.${n}.1` },
            ...(v6 ? [{ cidr: `fd99:${n}::/64`, gateway: `fd99:${n}::1` }] : []),
          ]
        : [],
      internal: false,
      ipv6: ipam && v6,
      options: { ...this.#options.options },
    }
  }

  endpoint(network: NetworkSpec, sandbox: string, host: number): EndpointSpec {
    const netns = join(this.dir, sandbox)
    if (!isNetns(netns)) createNetns(netns, () => undefined)
    this.#netns.add(netns)
    return {
      id: newId(),
      netns,
      interface: 'eth0',
      mac: ['02', ...randomBytes(5).toString('hex').matchAll(/../g)].join(':'),
      addresses: network.subnets.map(
        ({ cidr, gateway }) => `${gateway.slice(0, -1)}${host}/${cidr.split('/')[1] ?? ''}`,
      ),
      options: {},
    }
  }

  /** A network for one case, which ends with it. */
  async withNetwork(
    run: (network: NetworkSpec, state: DriverState) => Promise<void>,
    options: Record<string, string> = {},
  ): Promise<void> {
    const network = this.network()
    const spec = { ...network, options: { ...network.options, ...options } }
    const links = this.links()
    const state = await this.driver.createNetwork(spec)
    try {
      await run(spec, state)
    } finally {
      for (const path of this.#netns) deleteNetns(path)
      this.#netns.clear()
      await this.driver.recover([{ network: spec, state, endpoints: [] }])
      await this.driver.deleteNetwork(spec, state)
    }
    // Interfaces whose namespace ended vanish a moment later.
    await until('nothing is left behind', 3000, () => {
      assert.deepEqual(this.links(), links)
      return true
    })
  }

  links(): string[] {
    return this.host
      .links()
      .map((l) => l.name)
      .sort()
  }

  /** An endpoint's interface as it is; undefined when there is none. */
  look(endpoint: EndpointSpec): { mac: string; up: boolean; addresses: string[] } | undefined {
    return withNetnsLink(endpoint.netns, (link) => {
      const found = link.link(endpoint.interface)
      if (!found) return undefined
      const addresses = link
        .addresses(found.index)
        .map((a) => a.cidr)
        .filter((a) => !a.startsWith('fe80:'))
      return { mac: found.mac, up: found.up, addresses: addresses.sort() }
    })
  }

  indexOf(endpoint: EndpointSpec): number | undefined {
    return withNetnsLink(endpoint.netns, (link) => link.link(endpoint.interface)?.index)
  }

  /** A new port carries frames a moment later, when a worker of the kernel has run; what is sent before is lost. */
  reaches(from: EndpointSpec | undefined, to: EndpointSpec, v6 = false): boolean {
    return [1, 2, 3].some(() => this.ping(from?.netns, addressOf(to, v6)))
  }

  ping(netns: string | undefined, address: string): boolean {
    const enter = netns === undefined ? [] : ['nsenter', `--net=${netns}`]
    const [file = '', ...args] = [...enter, 'busybox', 'ping', '-c1', '-W1', address]
    try {
      execFileSync(file, args, { stdio: 'ignore', timeout: 5000 })
      return true
    } catch {
      return false
    }
  }
}
