import { unavailable } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'
import { Nft, NftError } from '../../../shared/kernel/nft.ts'
import type { Logger } from '../../../shared/log/index.ts'
import { FlowSweeper } from './flows.ts'
import { Forwarding } from './forwarding.ts'
import { acceptChain, FORWARD, IptablesForward } from './iptables.ts'
import { RepairTimer } from './repair.ts'
import { planClosed, planNetwork, planPorts, planTable, portsGone, tableName } from './ruleset.ts'
import { routeLoopback } from './sysctls.ts'
import type { Family, FirewallModel, FirewallNetwork, PublishedPort } from './types.ts'
import { FirewallWatch, readGeneration } from './watch.ts'

export interface FirewallOptions {
  readonly engine: string
  readonly log: Logger
  /** File that remembers that this engine switched forwarding on. */
  readonly forwardingFile: string
  /** Where this engine switched forwarding on: let the host route between its uplinks too. */
  readonly forwardNoDrop?: boolean | undefined
}

/** The model as it is kept: networks by id, ports by owner. */
interface State {
  readonly networks: Map<string, FirewallNetwork>
  readonly ports: Map<string, readonly PublishedPort[]>
}

const modelOf = ({ networks, ports }: State): FirewallModel => ({ networks: [...networks.values()], ports })

/** In one line: nft goes on with the script. */
const reasonOf = (error: unknown): string => {
  const text = error instanceof NftError ? `nft: ${error.output.trim()}` : (error as Error).message
  return text.split('\n')[0] ?? ''
}

/**
 * Applies the model: one table, one transaction a change (some 0.1 ms), all calls synchronous. It keeps the model in memory and
 * puts the table back when somebody else damages it. Closing leaves the table in the kernel: containers go on.
 */
export class Firewall {
  readonly table: string
  readonly #log: Logger
  readonly #forwarding: Forwarding
  readonly #forwardNoDrop: boolean
  readonly #iptables: IptablesForward
  readonly #flows: FlowSweeper
  readonly #repair = new RepairTimer(() => this.#mend())
  #state: State = { networks: new Map(), ports: new Map() }
  #nft: Nft | undefined
  #watch: FirewallWatch | undefined
  /** Why the table is to be rebuilt at the next repair; undefined when it is not. */
  #reason: string | undefined
  #trouble: string | undefined
  /** The generation that our last rewrite of the table made. */
  #rewritten: number | undefined

  constructor(options: FirewallOptions) {
    this.table = tableName(options.engine)
    this.#log = options.log
    this.#forwarding = new Forwarding(options.forwardingFile)
    this.#forwardNoDrop = options.forwardNoDrop ?? false
    this.#flows = new FlowSweeper(() => [...this.#state.ports.values()].flat(), options.log)
    this.#iptables = new IptablesForward(this.table, {
      run: (script) => this.#run(script),
      list: (command) => this.#list(command),
    })
  }

  /** Why the table cannot be had now; undefined when all is well. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Throws `unavailable` with the reason where the table cannot be had, after another try. */
  require(): void {
    if (this.#trouble !== undefined) this.#restore(this.#state)
  }

  /**
   * Makes the table what the model says, whatever is there: at start. Bridges must exist. Throws `unavailable` when that cannot be; the
   * model is kept, and tried again from time to time.
   */
  sync(model: FirewallModel): void {
    this.#state = {
      networks: new Map(model.networks.map((network) => [network.id, network])),
      ports: new Map(model.ports),
    }
    this.#restore(this.#state)
  }

  /** Adds a network, or changes it to this. */
  addNetwork(network: FirewallNetwork): void {
    this.require()
    const closed = this.#prepare([network])
    const before = this.#state.networks.get(network.id)
    const script = planClosed(this.table, closed) + planNetwork(this.table, before, network)
    this.#change(script, ({ networks }) => void networks.set(network.id, network))
    if (this.#iptables.asked) this.#tellIptables()
  }

  /** Takes a network away; an unknown one is no error. */
  removeNetwork(id: string): void {
    const before = this.#state.networks.get(id)
    if (!before) return
    this.#change(planNetwork(this.table, before, undefined), ({ networks }) => void networks.delete(id), true)
    if (this.#iptables.asked) this.#tellIptables()
  }

  /**
   * Publishes an owner's ports: all that it has, in the place of those it had. The caller has made sure that no two owners have
   * the same host address and port.
   */
  setPorts(owner: string, ports: readonly PublishedPort[]): void {
    if (ports.length > 0) this.require()
    const before = this.#state.ports.get(owner) ?? []
    const script = planPorts(this.table, before, ports)
    if (script === '') return
    const apply = (state: State): void => {
      if (ports.length > 0) state.ports.set(owner, ports)
      else state.ports.delete(owner)
    }
    this.#change(script, apply, ports.length === 0)
    this.#flows.sweep(portsGone(before, ports), ports)
  }

  /** Ends the publishing of all ports of an owner; an unknown one is no error. */
  removePorts(owner: string): void {
    this.setPorts(owner, [])
  }

  /** Resolves when the flows of ports that changed are forgotten. */
  settled(): Promise<void> {
    return this.#flows.idle()
  }

  close(): void {
    this.#repair.stop()
    this.#watch?.close()
    this.#nft?.close()
    this.#watch = undefined
    this.#nft = undefined
  }

  #run(script: string): string {
    this.#nft ??= new Nft()
    return this.#nft.run(script)
  }

  #list(command: string): string | undefined {
    try {
      this.#nft ??= new Nft()
      return this.#nft.run(command, 'handle')
    } catch (error) {
      if (error instanceof NftError && error.missing) return undefined
      throw error
    }
  }

  /** Everything that `state` needs of the kernel. Throws `unavailable`, and is tried again later. */
  #restore(state: State): void {
    try {
      this.#prepare(state.networks.values())
      this.#rewrite(state)
      this.#trouble = undefined
      this.#reason = undefined
    } catch (error) {
      const reason = reasonOf(error)
      if (reason !== this.#trouble)
        this.#log.error({ table: this.table, error }, 'firewall cannot be set up: trying again')
      this.#trouble = reason
      this.#reason ??= 'it could not be made before'
      this.#repair.schedule()
      throw unavailable(`the firewall of this host cannot be set up: ${this.#trouble}`, { cause: error })
    }
    // Whoever sent while the rules were not there has a flow that passes by them.
    this.#flows.sweep([], [...state.ports.values()].flat())
    this.#tellIptables()
  }

  /** Writes the whole table. The watch is open before, so that no damage to it goes unseen; what it tells of us it ignores. */
  #rewrite(state: State): void {
    this.#watch ??= new FirewallWatch(this.table, [FORWARD, acceptChain(this.table)], {
      damaged: () => this.#damaged('it was changed by another process'),
      missed: () => this.#missed(),
      filterChanged: () => this.#repair.schedule(),
    })
    const { id } = readGeneration()
    this.#run(planTable(this.table, modelOf(state), this.#closed()))
    this.#rewritten = id + 1
  }

  /**
   * One incremental change. When the kernel's table is not what the model says, the table is made anew with the change in it. What
   * is taken away is gone from the model even when that cannot be: there is no table then, or the next repair does it.
   */
  #change(script: string, apply: (state: State) => void, takesAway = false): void {
    try {
      if (this.#trouble === undefined) this.#run(script)
      apply(this.#state)
    } catch (error) {
      if (!(error instanceof NftError && (error.missing || error.exists))) throw error
      this.#log.warn(
        { table: this.table, reason: error.output },
        'firewall table differs from the model: rebuilding it',
      )
      const next: State = { networks: new Map(this.#state.networks), ports: new Map(this.#state.ports) }
      apply(next)
      try {
        this.#restore(next)
      } catch (failure) {
        if (!takesAway) throw failure
      }
      this.#state = next
    }
  }

  /** Kernel parameters. Returns the families for which the host has become one that is not to route between its uplinks. */
  #prepare(networks: Iterable<FirewallNetwork>): readonly Family[] {
    const all = [...networks]
    const changed = this.#forwarding.enable(all.some((network) => network.ipv6))
    if (changed.length > 0) this.#log.info({ sysctls: changed }, 'packet forwarding was off on this host: switched on')
    for (const { bridge } of all) {
      try {
        routeLoopback(bridge)
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error
        this.#log.warn({ bridge }, 'bridge is missing: its published ports will not answer on loopback')
      }
    }
    return changed.length > 0 ? this.#closed() : []
  }

  #closed(): readonly Family[] {
    return this.#forwardNoDrop ? [] : this.#forwarding.opened
  }

  #damaged(reason: string): void {
    this.#reason ??= reason
    this.#repair.schedule()
  }

  /** Notifications were lost. When all that happened since is our own rewrite, of a large table, they were about that. */
  #missed(): void {
    if (readGeneration().id !== this.#rewritten) this.#damaged('notifications of changes were lost')
  }

  /** The repair; throws when it is to be tried again. */
  #mend(): void {
    if (this.#reason === undefined) {
      this.#askIptables()
      return
    }
    const reason = this.#reason
    this.#restore(this.#state)
    this.#log.warn({ table: this.table }, `firewall table was rebuilt: ${reason}`)
  }

  #askIptables(): void {
    try {
      this.#iptables.allow(this.#state.networks.values())
    } catch (error) {
      this.#log.error({ error }, 'iptables drops forwarded packets and cannot be told of our bridges: trying again')
      throw error
    }
  }

  #tellIptables(): void {
    try {
      this.#askIptables()
    } catch {
      this.#repair.schedule()
    }
  }
}
