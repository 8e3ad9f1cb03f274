import { isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../shared/contracts/index.ts'
import { GantryError } from '../../shared/errors/index.ts'
import { type NetworkContext, networkSpec } from './context.ts'
import type { PublishedPort } from './firewall/index.ts'
import { chooseDefaultRoute, type Placed } from './gateway.ts'
import { type Families, isListenedOn, isRelayed, type OnRefusal } from './ports/index.ts'
import type { NetworkRecord, SandboxRecord } from './records.ts'

/** The endpoints that published ports lead to, of each family. */
interface Targets {
  readonly v4: Placed | undefined
  readonly v6: Placed | undefined
}

/** What is done about a port that somebody else has. */
export type IfTaken = 'refuse' | 'leave out'

const familiesOf = ({ v4, v6 }: Targets): Families => ({ ipv4: v4 !== undefined, ipv6: v6 !== undefined })

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
    return { v4: chooseDefaultRoute(able, false)?.placed, v6: chooseDefaultRoute(able, true)?.placed }
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
    const first = targets.v4 ?? targets.v6
    const wanted = first ? this.#onDefaultAddress(ports, targets.v4) : []
    this.#c.ports.reserve(id, name, wanted, familiesOf(targets), (error) => {
      const what = `driver failed programming external connectivity on endpoint ${name} (${first?.endpoint.id ?? ''})`
      refused(new GantryError(error.kind, `${what}: ${error.message}`, { cause: error }))
    })
  }

  /** A network may name the host address of ports that name none. */
  #onDefaultAddress(ports: readonly PortRequest[], v4: Placed | undefined): readonly PortRequest[] {
    if (!v4?.network.state) return ports
    const driver = this.#c.drivers.get(v4.network.driver)
    const hostIp = driver.hostSide(networkSpec(v4.network))?.hostBinding ?? ''
    return hostIp === '' || hostIp === '0.0.0.0' ? ports : ports.map((p) => (p.hostIp === '' ? { ...p, hostIp } : p))
  }

  /**
   * Leads the reserved ports to where the endpoints are now: at once, for who begins to send; the promise resolves when this is
   * so for UDP clients too that were sending before.
   */
  async apply(sandboxId: string, endpoints: readonly Placed[]): Promise<void> {
    const ports = this.published(sandboxId, endpoints)
    this.#c.firewall.setPorts(sandboxId, ports)
    this.relay(sandboxId, endpoints)
    if (ports.some((port) => port.protocol === 'udp')) await this.#c.firewall.settled()
  }

  /** What the firewall leads to the endpoints. */
  published(sandboxId: string, endpoints: readonly Placed[]): PublishedPort[] {
    const bindings = this.#c.ports.of(sandboxId)
    if (bindings.length === 0) return []
    const targets = this.#targets(endpoints)
    return bindings.flatMap((binding) => {
      if (isRelayed(binding, familiesOf(targets))) return []
      const address = isIPv6(binding.hostIp) ? targets.v6?.endpoint.ipv6 : targets.v4?.endpoint.ipv4
      return address ? [toPublished(binding, address)] : []
    })
  }

  /** What the firewall cannot lead there, or does not because of its address: this process passes it on. */
  relay(sandboxId: string, endpoints: readonly Placed[]): void {
    const targets = this.#targets(endpoints)
    const address = targets.v4?.endpoint.ipv4 ?? targets.v6?.endpoint.ipv6
    this.#c.ports.relay(sandboxId, (binding) =>
      address !== undefined && isListenedOn(binding, familiesOf(targets))
        ? { address, port: binding.containerPort }
        : undefined,
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

const toPublished = (binding: PortBinding, address: string): PublishedPort => ({
  protocol: binding.protocol as PublishedPort['protocol'],
  hostIp: binding.hostIp,
  hostPort: binding.hostPort,
  address,
  containerPort: binding.containerPort,
})
