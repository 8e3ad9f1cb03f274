import { isIPv6 } from 'node:net'
import { forgetUdpFlows } from '../../../shared/kernel/conntrack.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { Nft, NftError } from '../../../shared/kernel/nft.ts'
import type { Logger } from '../../../shared/log/index.ts'
import { acceptChain, FAMILIES, FORWARD, planAccept, readForward } from './iptables.ts'
import { planNetwork, planPorts, planTable, tableName } from './ruleset.ts'
import { enableForwarding, routeLoopback } from './sysctls.ts'
import type { FirewallModel, FirewallNetwork, PublishedPort } from './types.ts'
import { FirewallWatch } from './watch.ts'

/** How long to wait before a repair: whoever flushes one table often goes on with others. */
const REPAIR_DELAY_MS = 50

/** The model as it is kept: networks by id, ports by owner. */
interface State {
  readonly networks: Map<string, FirewallNetwork>
  readonly ports: Map<string, readonly PublishedPort[]>
}

const modelOf = ({ networks, ports }: State): FirewallModel => ({ networks: [...networks.values()], ports })

/**
 * Applies the model: one table, one transaction a change (some 0.1 ms), all calls synchronous. It keeps the model in memory and
 * puts the table back when somebody else damages it. Closing leaves the table in the kernel: containers go on.
 */
export class Firewall {
  readonly table: string
  readonly #log: Logger
  #state: State = { networks: new Map(), ports: new Map() }
  #nft: Nft | undefined
  #watch: FirewallWatch | undefined
  #repair: NodeJS.Timeout | undefined
  /** Why the table is to be rebuilt at the next repair; undefined when it is not. */
  #reason: string | undefined
  /** iptables drops what it does not know, so that it has to be told of our bridges. */
  #besideDrop = false

  constructor(options: { engine: string; log: Logger }) {
    this.table = tableName(options.engine)
    this.#log = options.log
  }

  /**
   * Makes the table what the model says, whatever is there: at start, and to repair. Bridges must exist. Throws `unavailable`
   * when libnftables is missing, NftError when the kernel refuses.
   */
  sync(model: FirewallModel): void {
    this.#prepare(model.networks)
    this.#rewrite(model)
    this.#state = {
      networks: new Map(model.networks.map((network) => [network.id, network])),
      ports: new Map(model.ports),
    }
    this.#tellIptables()
  }

  /** Adds a network, or changes it to this. */
  addNetwork(network: FirewallNetwork): void {
    this.#prepare([network])
    const before = this.#state.networks.get(network.id)
    this.#change(planNetwork(this.table, before, network), ({ networks }) => networks.set(network.id, network))
    if (this.#besideDrop) this.#tellIptables()
  }

  /** Takes a network away; an unknown one is no error. */
  removeNetwork(id: string): void {
    const before = this.#state.networks.get(id)
    if (!before) return
    this.#change(planNetwork(this.table, before, undefined), ({ networks }) => networks.delete(id))
    if (this.#besideDrop) this.#tellIptables()
  }

  /**
   * Publishes an owner's ports: all that it has, in the place of those it had. The caller has made sure that no two owners have
   * the same host address and port.
   */
  setPorts(owner: string, ports: readonly PublishedPort[]): void {
    const before = this.#state.ports.get(owner) ?? []
    const script = planPorts(this.table, before, ports)
    if (script === '') return
    this.#change(script, (state) => (ports.length > 0 ? state.ports.set(owner, ports) : state.ports.delete(owner)))
    this.#forgetFlows([...before, ...ports])
  }

  /** Ends the publishing of all ports of an owner; an unknown one is no error. */
  removePorts(owner: string): void {
    this.setPorts(owner, [])
  }

  close(): void {
    clearTimeout(this.#repair)
    this.#watch?.close()
    this.#nft?.close()
    this.#watch = undefined
    this.#nft = undefined
  }

  #run(script: string): string {
    this.#nft ??= new Nft()
    return this.#nft.run(script)
  }

  /** Writes the whole table. The watch starts afresh afterwards: what it would tell is our own doing, and may be a lot. */
  #rewrite(model: FirewallModel): void {
    this.#run(planTable(this.table, model))
    this.#watch?.close()
    this.#watch = new FirewallWatch(this.table, [FORWARD, acceptChain(this.table)], {
      damaged: () => this.#scheduleRepair('it was damaged by another process'),
      missed: () => this.#scheduleRepair('notifications of changes were lost'),
      filterChanged: () => this.#scheduleRepair(undefined),
    })
  }

  /** One incremental change. When the kernel's table is not what the model says, the table is made anew with the change in it. */
  #change(script: string, apply: (state: State) => void): void {
    try {
      this.#run(script)
      apply(this.#state)
    } catch (error) {
      if (!(error instanceof NftError && (error.missing || error.exists))) throw error
      this.#log.warn(
        { table: this.table, reason: error.output },
        'firewall table differs from the model: rebuilding it',
      )
      const next: State = { networks: new Map(this.#state.networks), ports: new Map(this.#state.ports) }
      apply(next)
      this.#rewrite(modelOf(next))
      this.#state = next
    }
  }

  #prepare(networks: readonly FirewallNetwork[]): void {
    const changed = enableForwarding(networks.some((network) => network.ipv6))
    if (changed.length > 0) this.#log.info({ sysctls: changed }, 'packet forwarding was off on this host: switched on')
    for (const { bridge } of networks) {
      try {
        routeLoopback(bridge)
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error
        this.#log.warn({ bridge }, 'bridge is missing: its published ports will not answer on loopback')
      }
    }
  }

  #scheduleRepair(reason: string | undefined): void {
    this.#reason ??= reason
    this.#repair ??= setTimeout(() => {
      this.#repair = undefined
      const why = this.#reason
      this.#reason = undefined
      try {
        if (why !== undefined) this.#rewrite(modelOf(this.#state))
        if (why !== undefined) this.#log.warn({ table: this.table }, `firewall table was rebuilt: ${why}`)
        this.#tellIptables()
      } catch (error) {
        this.#log.error({ table: this.table, error }, 'firewall cannot be repaired')
      }
    }, REPAIR_DELAY_MS).unref()
  }

  /** Sees whether iptables lets our packets pass, and makes it. */
  #tellIptables(): void {
    const chain = acceptChain(this.table)
    const bridges = [...this.#state.networks.values()].map((network) => network.bridge)
    this.#besideDrop = false
    for (const family of FAMILIES) {
      const listing = this.#list(`list chain ${family} filter ${FORWARD}`)
      if (listing === undefined) continue
      const forward = readForward(listing, chain)
      this.#besideDrop ||= forward.drops || forward.jumps
      const script = planAccept(family, chain, forward, bridges)
      if (script !== '') this.#run(script)
    }
  }

  #list(command: string): string | undefined {
    try {
      return this.#run(command)
    } catch (error) {
      if (error instanceof NftError && error.missing) return undefined
      throw error
    }
  }

  /** UDP clients that have been sending to a port do not see that it leads elsewhere now, until their flow is forgotten. */
  #forgetFlows(ports: readonly PublishedPort[]): void {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const udp = ports.filter((port) => port.protocol === 'udp' && isIPv6(port.address) === (family === 'ipv6'))
      if (udp.length === 0) continue
      try {
        forgetUdpFlows(family, new Set(udp.map((port) => port.hostPort)))
      } catch (error) {
        this.#log.warn(
          { error },
          'UDP flows from before cannot be forgotten: their clients may reach the former container',
        )
      }
    }
  }
}
