import { isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../shared/contracts/index.ts'
import { GantryError } from '../../shared/errors/index.ts'
import type { NetworkContext } from './context.ts'
import type { PublishedPort } from './firewall/index.ts'
import { chooseDefaultRoute, type Placed } from './gateway.ts'
import { hostSideOf } from './networks.ts'
import { type Families, isListenedOn, isRelayed, type OnRefusal, routedBindings, type Way } from './ports/index.ts'
import type { NetworkRecord, SandboxRecord } from './records.ts'

/** The endpoints that published ports lead to, of each family, and the way to them. */
interface Targets {
  readonly v4: Placed | undefined
  readonly v6: Placed | undefined
  readonly families: Families
}

/** What is done about a port that somebody else has. */
export type IfTaken = 'refuse' | 'leave out'

/** Reserves ports of the host and leads them to the container. */
export class Publishing {
  readonly #c: NetworkContext

  constructor(context: NetworkContext) {
    this.#c = context
  }

  #publishes(network: NetworkRecord): boolean {
    return this.#c.drivers.get(network.driver).manifest.capabilities['portMapping'] === true && !network.internal
  }

  #targets(endpoints: readonly Placed[]): Targets {
    const able = endpoints.filter(({ network }) => this.#publishes(network))
    const v4 = chooseDefaultRoute(able, false)?.placed
    const v6 = chooseDefaultRoute(able, true)?.placed
    return { v4, v6, families: { ipv4: this.#way(v4, 'ipv4'), ipv6: this.#way(v6, 'ipv6') } }
  }

  #way(target: Placed | undefined, family: keyof Families): Way {
    if (!target) return 'none'
    return hostSideOf(this.#c, target.network)?.gatewayMode[family] === 'routed' ? 'routed' : 'host port'
  }

  /**
   * Reserves what the sandbox asked for, in the caller's transaction, where it has an endpoint that can publish (none: like
   * Docker, nothing is published). Throws `conflict` naming who has a port.
   */
  reserve(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    this.#reserve(sandbox, endpoints, (error) => {
      throw error
    })
  }

  /**
   * Makes the reservations what the endpoints allow now. What cannot be published through them any more, or not yet, is left out, and
   * ports that are taken are refused or left out too.
   */
  adapt(sandbox: SandboxRecord, endpoints: readonly Placed[], ifTaken: IfTaken): void {
    this.#reserve(sandbox, endpoints, (error) => {
      if (ifTaken === 'refuse' && error.kind === 'conflict') throw error
      this.#c.log.warn({ container: sandbox.name, error }, 'a port is not published')
    })
  }

  #reserve(sandbox: SandboxRecord, endpoints: readonly Placed[], refused: OnRefusal): void {
    const { ports, id, name } = sandbox.request
    if (ports.length === 0 && this.#c.ports.of(id).length === 0) return
    const targets = this.#targets(endpoints)
    const endpoint = (targets.v4 ?? targets.v6)?.endpoint.id ?? ''
    this.#c.ports.reserve(id, name, this.#wanted(ports, targets), targets.families, (error) => {
      const what = `driver failed programming external connectivity on endpoint ${name} (${endpoint})`
      refused(new GantryError(error.kind, `${what}: ${error.message}`, { cause: error }))
    })
  }

  /** What is to be published: nothing where nothing can be. A network may name the host address of ports that name none. */
  #wanted(ports: readonly PortRequest[], { v4, v6 }: Targets): readonly PortRequest[] {
    const first = v4 ?? v6
    if (!first) return []
    const hostIp = hostSideOf(this.#c, first.network)?.hostBinding ?? ''
    return hostIp === '' || hostIp === '0.0.0.0' ? ports : ports.map((p) => (p.hostIp === '' ? { ...p, hostIp } : p))
  }

  /**
   * Leads the reserved ports to where the endpoints are now: at once, for who begins to send; the promise resolves when this is
   * so for UDP clients too that were sending before.
   */
  async apply(sandbox: SandboxRecord, endpoints: readonly Placed[]): Promise<void> {
    const ports = this.published(sandbox, endpoints)
    this.#c.firewall.setPorts(sandbox.id, ports)
    this.relay(sandbox.id, endpoints)
    if (ports.some((port) => port.protocol === 'udp')) await this.#c.firewall.settled()
  }

  /** The ports of a sandbox, as its container shows them. */
  bindings(sandbox: SandboxRecord, endpoints: readonly Placed[]): PortBinding[] {
    return sandbox.request.ports.length === 0 ? [] : this.#bindings(sandbox, this.#targets(endpoints))
  }

  #bindings({ id, request }: SandboxRecord, targets: Targets): PortBinding[] {
    return [...this.#c.ports.of(id), ...routedBindings(this.#wanted(request.ports, targets), targets.families)]
  }

  /** What the firewall leads to the endpoints. */
  published(sandbox: SandboxRecord, endpoints: readonly Placed[]): PublishedPort[] {
    if (sandbox.request.ports.length === 0) return []
    const targets = this.#targets(endpoints)
    return this.#bindings(sandbox, targets).flatMap((binding) => {
      if (isRelayed(binding, targets.families)) return []
      const address = isIPv6(binding.hostIp) ? targets.v6?.endpoint.ipv6 : targets.v4?.endpoint.ipv4
      return address ? [toPublished(binding, address)] : []
    })
  }

  /** What the firewall cannot lead there, or does not because of its address: this process passes it on. */
  relay(sandboxId: string, endpoints: readonly Placed[]): void {
    const { v4, v6, families } = this.#targets(endpoints)
    const address = v4?.endpoint.ipv4 ?? v6?.endpoint.ipv6
    this.#c.ports.relay(sandboxId, (binding) =>
      address !== undefined && isListenedOn(binding, families) ? { address, port: binding.containerPort } : undefined,
    )
  }

  /** Nothing is led there any more; the reservation is given back by `release`. */
  withdraw(sandboxId: string): void {
    this.#c.ports.relay(sandboxId, () => undefined)
    this.#c.firewall.removePorts(sandboxId)
  }

  release(sandboxId: string): void {
    this.#c.ports.release(sandboxId)
  }
}

function toPublished({ protocol, hostIp, hostPort, containerPort }: PortBinding, address: string): PublishedPort {
  const to = { protocol: protocol as PublishedPort['protocol'], address, containerPort }
  return hostPort === 0 ? { ...to, hostIp: address, hostPort: containerPort } : { ...to, hostIp, hostPort }
}
