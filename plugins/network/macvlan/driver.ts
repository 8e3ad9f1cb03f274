import { closeSync, openSync } from 'node:fs'
import type {
  DriverContext,
  DriverState,
  EndpointResult,
  EndpointSpec,
  NetworkDriver,
  NetworkSpec,
  ProbeResult,
  RecoveredNetwork,
  RecoveryReport,
} from '../../../shared/drivers/index.ts'
import { conflict, invalid, unavailable } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { deleteLinkIn, LinkReaper } from '../../../shared/kernel/link-reaper.ts'
import { isNetns, withNetnsLink, withScratchNetns } from '../../../shared/kernel/netns.ts'
import { RtNetlink } from '../../../shared/kernel/rtnetlink.ts'
import { trySysctl } from '../../../shared/kernel/sysctl.ts'
import { readConfig } from './config.ts'
import { manifest } from './manifest.ts'
import { planParent, readMark, userOf, writeMark } from './plan.ts'

interface MacvlanState extends DriverState {
  readonly version: 1
  readonly parent: string
}

/** IFALIASZ, include/uapi/linux/if.h, without the end of the string. */
const MAX_ALIAS = 255

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Endpoints with MAC addresses of their own on an interface of the host: they are on its network, not behind it. */
export class MacvlanDriver implements NetworkDriver {
  readonly manifest = manifest
  readonly #reaper = new LinkReaper()
  readonly #context: DriverContext
  #link: RtNetlink | undefined

  constructor(context: DriverContext) {
    this.#context = context
  }

  get #host(): RtNetlink {
    return (this.#link ??= new RtNetlink())
  }

  probe(): Promise<ProbeResult> {
    try {
      withScratchNetns((link) => {
        link.newLink({ name: 'v' }, { kind: 'veth', peer: { name: 'w' } })
        link.newLink({ name: 'm' }, { kind: 'macvlan', parent: link.link('v')?.index ?? 0, mode: 'bridge' })
      })
      return Promise.resolve({ usable: true, rank: 10 })
    } catch (error) {
      return Promise.resolve({
        usable: false,
        reason: `the kernel makes no macvlan here (module macvlan, CAP_NET_ADMIN): ${message(error)}`,
      })
    }
  }

  async close(): Promise<void> {
    await this.#reaper.close()
    this.#link?.close()
    this.#link = undefined
  }

  validate(network: NetworkSpec): void {
    readConfig(network)
    const plan = planParent(network)
    const needed = plan.kind === 'given' ? plan.name : plan.kind === 'vlan' ? plan.of : undefined
    if (needed === undefined || this.#host.link(needed) || this.#host.link(plan.name)) return
    throw invalid(`invalid value "${plan.name}" for option parent: the host has no interface ${needed}`)
  }

  async createNetwork(network: NetworkSpec): Promise<MacvlanState> {
    const plan = planParent(network)
    await this.#reaper.gone(plan.name)
    const there = this.#host.link(plan.name)
    const me = userOf(network)
    if (there) {
      const users = readMark(this.#context.engine, there.alias)
      if (users && !users.includes(me)) this.#setUsers(there.index, plan.name, [...users, me])
      return { version: 1, parent: plan.name }
    }
    if (plan.kind === 'given') throw invalid(`the host has no interface ${plan.name}`)
    if (plan.kind === 'vlan') this.#newVlan(plan)
    else this.#newDummy(plan.name)
    this.#setUsers(plan.name, plan.name, [me])
    return { version: 1, parent: plan.name }
  }

  /** The kernel remembers for whom a parent was made: it goes with the last of them. */
  #setUsers(link: number | string, name: string, users: readonly string[]): void {
    const alias = writeMark(this.#context.engine, users)
    if (alias.length > MAX_ALIAS) throw conflict(`parent interface ${name} has as many networks as it can have`)
    this.#host.setLink(link, { alias })
  }

  #newVlan(plan: { name: string; of: string; id: number }): void {
    const parent = this.#host.link(plan.of)
    if (!parent) throw invalid(`the host has no interface ${plan.of}`)
    try {
      this.#host.newLink({ name: plan.name, up: true }, { kind: 'vlan', parent: parent.index, id: plan.id })
    } catch (error) {
      if (isCode(error, 'ENOTSUP')) throw unavailable(`the kernel has no VLANs: parent=${plan.name} needs module 8021q`)
      throw error
    }
  }

  /** A parent that leads nowhere: a dummy or, where the kernel has none, a veth pair on its own. */
  #newDummy(name: string): void {
    try {
      this.#host.newLink({ name, up: true }, { kind: 'dummy' })
    } catch (error) {
      if (!isCode(error, 'ENOTSUP')) throw error
      const peer = `dp${name.slice(2)}`
      this.#host.newLink({ name }, { kind: 'veth', peer: { name: peer } })
      for (const end of [name, peer]) this.#host.setLink(end, { up: true })
    }
  }

  async deleteNetwork(network: NetworkSpec): Promise<void> {
    const plan = planParent(network)
    const there = this.#host.link(plan.name)
    if (!there) return
    const me = userOf(network)
    // The dummy's name is the network's own, so it is ours even if the mark was never set.
    const users = readMark(this.#context.engine, there.alias) ?? (plan.kind === 'dummy' ? [me] : [])
    if (!users.includes(me)) return
    const others = users.filter((user) => user !== me)
    if (others.length > 0) return this.#setUsers(there.index, plan.name, others)
    this.#host.setLink(there.index, { up: false })
    await this.#reaper.delete(plan.name)
  }

  async createEndpoint(network: NetworkSpec, state: DriverState, endpoint: EndpointSpec): Promise<EndpointResult> {
    const { mode, mtu } = readConfig(network)
    const name = (state as MacvlanState).parent
    const parent = this.#host.link(name)
    if (!parent) throw conflict(`parent interface ${name} of network ${network.name} is gone`)
    const there = find(endpoint)
    if (there && there.mac !== endpoint.mac) {
      throw conflict(`the sandbox has an interface ${endpoint.interface} already`)
    }
    if (!there) this.#newMacvlan(endpoint, parent.index, mode, mtu)
    try {
      configure(endpoint)
    } catch (error) {
      await deleteLinkIn(endpoint.netns, endpoint.interface)
      if (isCode(error, 'EADDRINUSE')) throw inUse(endpoint.mac)
      throw error
    }
    return { state: { version: 1 } }
  }

  #newMacvlan(endpoint: EndpointSpec, parent: number, mode: ReturnType<typeof readConfig>['mode'], mtu?: number): void {
    const netnsFd = openSync(endpoint.netns, 'r')
    try {
      this.#host.newLink(
        { name: endpoint.interface, mac: endpoint.mac, netnsFd, ...(mtu === undefined ? {} : { mtu }) },
        { kind: 'macvlan', parent, mode },
      )
    } catch (error) {
      if (isCode(error, 'EADDRINUSE')) throw inUse(endpoint.mac)
      if (isCode(error, 'EBUSY', 'EINVAL')) {
        throw conflict(`the parent interface takes no further endpoint in mode ${mode}: ${message(error)}`, {
          cause: error,
        })
      }
      throw error
    } finally {
      closeSync(netnsFd)
    }
  }

  async deleteEndpoint(_network: NetworkSpec, endpoint: EndpointSpec): Promise<void> {
    if (find(endpoint)?.mac !== endpoint.mac) return
    withNetnsLink(endpoint.netns, (link) => link.setLink(endpoint.interface, { up: false }))
    await deleteLinkIn(endpoint.netns, endpoint.interface)
  }

  async recover(networks: readonly RecoveredNetwork[]): Promise<RecoveryReport> {
    const report = { networks: [], endpoints: [], failures: [], removed: [] } as {
      -readonly [K in keyof RecoveryReport]: RecoveryReport[K][number][]
    }
    for (const { network, endpoints } of networks) {
      try {
        const before = this.#host.link(planParent(network).name)
        const state = await this.createNetwork(network)
        if (!before) report.networks.push({ id: network.id, state })
        for (const { endpoint } of endpoints) {
          if (find(endpoint)?.up === true) continue
          try {
            report.endpoints.push({ id: endpoint.id, result: await this.createEndpoint(network, state, endpoint) })
          } catch (error) {
            report.failures.push({ id: endpoint.id, error: message(error) })
          }
        }
      } catch (error) {
        report.failures.push({ id: network.id, error: message(error) })
      }
    }
    return report
  }

  /** The host cannot talk to a macvlan on its own interface, so there is nothing to filter. */
  hostSide(): undefined {
    return undefined
  }
}

const inUse = (mac: string): Error => conflict(`MAC address ${mac} is in use on the parent interface`)

/** The endpoint's interface; undefined when it or its namespace is not there. */
const find = (endpoint: EndpointSpec): ReturnType<RtNetlink['link']> =>
  isNetns(endpoint.netns) ? withNetnsLink(endpoint.netns, (link) => link.link(endpoint.interface)) : undefined

function configure(endpoint: EndpointSpec): void {
  withNetnsLink(endpoint.netns, (link) => {
    const index = link.link(endpoint.interface)?.index ?? 0
    const v6 = endpoint.addresses.some((a) => a.includes(':'))
    trySysctl(`net/ipv6/conf/${endpoint.interface}/disable_ipv6`, v6 ? '0' : '1')
    for (const address of endpoint.addresses) link.addAddress(index, address)
    link.setLink(index, { up: true })
  })
}
