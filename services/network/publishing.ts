import { isIPv6 } from 'node:net'
import type { PortBinding, PortRequest } from '../../shared/contracts/index.ts'
import { GantryError } from '../../shared/errors/index.ts'
import { type NetworkContext, networkSpec } from './context.ts'
import type { PublishedPort } from './firewall/index.ts'
import { chooseDefaultRoute, type Placed } from './gateway.ts'
import type { NetworkRecord, SandboxRecord } from './records.ts'

/** The endpoints that published ports lead to, of each family. */
interface Targets {
  readonly v4: Placed | undefined
  readonly v6: Placed | undefined
}

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
   * Reserves what the sandbox asked for, in the caller's transaction, as soon as it has an endpoint that can publish (none: like
   * Docker, nothing is published). Throws `conflict` naming who has the port.
   */
  reserve(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const { ports, id, name } = sandbox.request
    if (ports.length === 0) return
    const { v4, v6 } = this.#targets(endpoints)
    const first = v4 ?? v6
    if (!first) return
    try {
      this.#c.ports.reserve(id, name, this.#onDefaultAddress(ports, v4), {
        ipv4: v4 !== undefined,
        ipv6: v6 !== undefined,
      })
    } catch (error) {
      if (!(error instanceof GantryError)) throw error
      const what = `driver failed programming external connectivity on endpoint ${name} (${first.endpoint.id})`
      throw new GantryError(error.kind, `${what}: ${error.message}`, { cause: error })
    }
  }

  /** A network may name the host address of ports that name none. */
  #onDefaultAddress(ports: readonly PortRequest[], v4: Placed | undefined): readonly PortRequest[] {
    if (!v4?.network.state) return ports
    const driver = this.#c.drivers.get(v4.network.driver)
    const hostIp = driver.hostSide(networkSpec(v4.network))?.hostBinding ?? ''
    return hostIp === '' || hostIp === '0.0.0.0' ? ports : ports.map((p) => (p.hostIp === '' ? { ...p, hostIp } : p))
  }

  /** Leads the reserved ports to where the endpoints are now. */
  apply(sandboxId: string, endpoints: readonly Placed[]): void {
    this.#c.firewall.setPorts(sandboxId, this.published(sandboxId, endpoints))
  }

  published(sandboxId: string, endpoints: readonly Placed[]): PublishedPort[] {
    const bindings = this.#c.ports.of(sandboxId)
    if (bindings.length === 0) return []
    const { v4, v6 } = this.#targets(endpoints)
    return bindings.flatMap((binding) => {
      const address = isIPv6(binding.hostIp) ? v6?.endpoint.ipv6 : v4?.endpoint.ipv4
      return address ? [toPublished(binding, address)] : []
    })
  }

  /** Takes them out of the firewall; the reservation is given back by `release`. */
  withdraw(sandboxId: string): void {
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
