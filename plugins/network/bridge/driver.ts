import { closeSync, openSync } from 'node:fs'
import type {
  DriverContext,
  DriverState,
  EndpointResult,
  EndpointSpec,
  HostSide,
  NetworkDriver,
  NetworkSpec,
  ProbeResult,
  RecoveredNetwork,
  RecoveryReport,
} from '../../../shared/drivers/index.ts'
import { conflict } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { LinkReaper } from '../../../shared/kernel/link-reaper.ts'
import { withNetnsLink, withScratchNetns } from '../../../shared/kernel/netns.ts'
import { type Link, RtNetlink } from '../../../shared/kernel/rtnetlink.ts'
import { trySysctl } from '../../../shared/kernel/sysctl.ts'
import { checkNetwork, readConfig } from './config.ts'
import { manifest } from './manifest.ts'
import { PortIsolation } from './port-isolation.ts'
import { type BridgePlan, type EndpointPlan, hostPrefix, planEndpoint, planNetwork } from './plan.ts'

interface BridgeState extends DriverState {
  readonly version: 1
  readonly bridge: string
  /** False for a bridge that the user made: it stays when the network goes. */
  readonly own: boolean
  /** Addresses that were not there before. */
  readonly added: readonly string[]
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** One Linux bridge a network, one veth pair an endpoint. */
export class BridgeDriver implements NetworkDriver {
  readonly manifest = manifest
  readonly #context: DriverContext
  readonly #reaper = new LinkReaper()
  readonly #isolation: PortIsolation
  #link: RtNetlink | undefined

  constructor(context: DriverContext) {
    this.#context = context
    this.#isolation = new PortIsolation(() => this.#host, context.log)
  }

  get #host(): RtNetlink {
    return (this.#link ??= new RtNetlink())
  }

  probe(): Promise<ProbeResult> {
    try {
      withScratchNetns((link) => {
        link.newLink({ name: 'b' }, { kind: 'bridge' })
        link.newLink({ name: 'v' }, { kind: 'veth', peer: { name: 'w' } })
      })
      return Promise.resolve({ usable: true, rank: 100 })
    } catch (error) {
      return Promise.resolve({
        usable: false,
        reason: `the kernel makes no bridge or veth here (modules bridge and veth, CAP_NET_ADMIN): ${message(error)}`,
      })
    }
  }

  async close(): Promise<void> {
    this.#isolation.close()
    await this.#reaper.close()
    this.#link?.close()
    this.#link = undefined
  }

  validate(network: NetworkSpec): void {
    checkNetwork(network)
  }

  async createNetwork(network: NetworkSpec): Promise<BridgeState> {
    const plan = planNetwork(this.#context.engine, network)
    await this.#reaper.gone(plan.bridge)
    const there = this.#host.link(plan.bridge)
    if (there && there.kind !== 'bridge') {
      throw conflict(`cannot make bridge ${plan.bridge}: there is an interface of that name, and it is no bridge`)
    }
    const own = !there || there.mac === plan.mac
    const added = there ? this.#mend(plan, there, own) : this.#make(plan)
    return { version: 1, bridge: plan.bridge, own, added }
  }

  #make(plan: BridgePlan): readonly string[] {
    const host = this.#host
    host.newLink({ name: plan.bridge, mac: plan.mac }, { kind: 'bridge' })
    try {
      this.#configure(plan, plan.addresses)
    } catch (error) {
      host.deleteLink(plan.bridge)
      throw error
    }
    return plan.addresses
  }

  #configure(plan: BridgePlan, addresses: readonly string[]): void {
    const { index } = this.#host.link(plan.bridge) ?? { index: 0 }
    for (const [name, value] of plan.sysctls) trySysctl(name, value)
    for (const address of addresses) this.#host.addAddress(index, address)
    // An MTU set afterwards stays; one given at birth would follow the ports.
    this.#host.setLink(index, { up: true, ...(plan.mtu === undefined ? {} : { mtu: plan.mtu }) })
  }

  /**
   * Makes a bridge that is there already as it shall be; returns the addresses that are ours to take away. One that the user made
   * only gets what it lacks.
   */
  #mend(plan: BridgePlan, there: Link, own: boolean): readonly string[] {
    const have = new Set(this.#host.addresses(there.index).map((a) => a.cidr))
    const missing = plan.addresses.filter((a) => !have.has(a))
    if (own) {
      this.#configure(plan, missing)
      return plan.addresses
    }
    for (const address of missing) this.#host.addAddress(there.index, address)
    this.#host.setLink(there.index, { up: true })
    return missing
  }

  async deleteNetwork(network: NetworkSpec, state: DriverState | undefined): Promise<void> {
    const plan = planNetwork(this.#context.engine, network)
    const there = this.#host.link(plan.bridge)
    if (there?.kind !== 'bridge') return
    const known = state as BridgeState | undefined
    const own = known?.own ?? there.mac === plan.mac
    const have = new Set(this.#host.addresses(there.index).map((a) => a.cidr))
    for (const address of known?.added ?? (own ? plan.addresses : [])) {
      if (have.has(address)) this.#host.deleteAddress(there.index, address)
    }
    if (!own) return
    this.#host.setLink(there.index, { up: false })
    await this.#reaper.delete(plan.bridge)
  }

  async createEndpoint(network: NetworkSpec, state: DriverState, endpoint: EndpointSpec): Promise<EndpointResult> {
    const plan = planEndpoint(this.#context.engine, network, endpoint)
    const bridge = this.#host.link((state as BridgeState).bridge)
    if (!bridge) throw conflict(`bridge ${(state as BridgeState).bridge} of network ${network.name} is gone`)
    let there = this.#host.link(plan.hostInterface)
    if (there && there.mac !== plan.hostMac) throw conflict(`there is another interface ${plan.hostInterface}`)
    if (!there) {
      this.#newVeth(plan, bridge.index, endpoint)
      there = this.#host.link(plan.hostInterface)
    }
    try {
      if (there && there.master !== bridge.index) this.#host.setLink(there.index, { master: bridge.index })
      if (there) this.#setPort(there.index, plan)
      trySysctl(`net/ipv6/conf/${plan.hostInterface}/disable_ipv6`, '1')
      this.#host.setLink(plan.hostInterface, { up: true })
      configureInside(plan, endpoint)
    } catch (error) {
      this.#reaper.delete(plan.hostInterface).catch((failure: unknown) => {
        this.#context.log.warn({ interface: plan.hostInterface, failure }, 'a half-made interface stays')
      })
      throw error
    }
    return {
      state: { version: 1, hostInterface: plan.hostInterface },
      hostInterface: plan.hostInterface,
    }
  }

  /**
   * Hairpin: where br_netfilter is on, what a container sends to a port that it publishes itself goes out by the port that it came in
   * by.
   */
  #setPort(index: number, plan: EndpointPlan): void {
    this.#host.setBridgePort(index, { hairpin: true })
    if (plan.apart) this.#isolation.add(plan.hostInterface)
  }

  #newVeth(plan: EndpointPlan, master: number, endpoint: EndpointSpec): void {
    const netnsFd = openSync(endpoint.netns, 'r')
    const mtu = plan.mtu === undefined ? {} : { mtu: plan.mtu }
    try {
      this.#host.newLink(
        { name: plan.hostInterface, mac: plan.hostMac, master, ...mtu },
        { kind: 'veth', peer: { name: endpoint.interface, mac: endpoint.mac, netnsFd, ...mtu } },
      )
    } catch (error) {
      if (isCode(error, 'EEXIST')) throw conflict(`the sandbox has an interface ${endpoint.interface} already`)
      throw error
    } finally {
      closeSync(netnsFd)
    }
  }

  deleteEndpoint(network: NetworkSpec, endpoint: EndpointSpec): Promise<void> {
    const { hostInterface, hostMac } = planEndpoint(this.#context.engine, network, endpoint)
    return this.#remove(hostInterface, hostMac)
  }

  async #remove(name: string, mac: string): Promise<void> {
    this.#isolation.delete(name)
    const there = this.#host.link(name)
    if (there?.mac !== mac) return
    this.#host.setLink(there.index, { up: false })
    await this.#reaper.delete(name)
  }

  async recover(networks: readonly RecoveredNetwork[]): Promise<RecoveryReport> {
    const report = { networks: [], endpoints: [], failures: [], removed: [] } as {
      -readonly [K in keyof RecoveryReport]: RecoveryReport[K][number][]
    }
    const strays = new Set(
      this.#host
        .links()
        .filter((l) => l.kind === 'veth' && l.name.startsWith(hostPrefix(this.#context.engine)))
        .map((l) => l.name),
    )
    for (const { network, endpoints } of networks) {
      const plans = endpoints.map(({ endpoint }) => planEndpoint(this.#context.engine, network, endpoint))
      for (const plan of plans) strays.delete(plan.hostInterface)
      try {
        const before = this.#host.link(planNetwork(this.#context.engine, network).bridge)
        const state = await this.createNetwork(network)
        if (!before) report.networks.push({ id: network.id, state })
        for (const { endpoint } of endpoints) await this.#recoverEndpoint(network, state, endpoint, report)
      } catch (error) {
        report.failures.push({ id: network.id, error: message(error) })
      }
    }
    for (const name of strays) {
      report.removed.push(name)
      await this.#reaper.delete(name)
    }
    return report
  }

  async #recoverEndpoint(
    network: NetworkSpec,
    state: BridgeState,
    endpoint: EndpointSpec,
    report: { endpoints: RecoveryReport['endpoints'][number][]; failures: RecoveryReport['failures'][number][] },
  ): Promise<void> {
    const plan = planEndpoint(this.#context.engine, network, endpoint)
    const there = this.#host.link(plan.hostInterface)
    try {
      if (there && there.mac !== plan.hostMac) await this.#reaper.delete(plan.hostInterface)
      const bridge = this.#host.link(state.bridge)
      if (there?.mac === plan.hostMac && there.up && there.master === bridge?.index) {
        this.#setPort(there.index, plan)
        return
      }
      const result = await this.createEndpoint(network, state, endpoint)
      report.endpoints.push({ id: endpoint.id, result })
    } catch (error) {
      report.failures.push({ id: endpoint.id, error: message(error) })
    }
  }

  hostSide(network: NetworkSpec): HostSide {
    const config = readConfig(network.options)
    return {
      interface: planNetwork(this.#context.engine, network).bridge,
      icc: config.icc,
      masquerade: config.masquerade,
      gatewayMode: config.gatewayMode,
      ...(config.hostBinding === '' ? {} : { hostBinding: config.hostBinding }),
    }
  }
}

/** Addresses and link state of the sandbox's end. */
function configureInside(plan: EndpointPlan, endpoint: EndpointSpec): void {
  withNetnsLink(endpoint.netns, (link) => {
    const inside = link.link(endpoint.interface)
    if (!inside) throw conflict(`the sandbox has no interface ${endpoint.interface}`)
    trySysctl(`net/ipv6/conf/${endpoint.interface}/disable_ipv6`, plan.ipv6 ? '0' : '1')
    for (const address of endpoint.addresses) link.addAddress(inside.index, address)
    link.setLink(inside.index, { up: true })
  })
}
