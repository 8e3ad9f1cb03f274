import type { NameAnswer, NameSource } from './dns/index.ts'
import type { Placed } from './gateway.ts'
import type { EndpointRecord, NetworkRecord, SandboxRecord } from './records.ts'

/** Names under which a sandbox is known on a network, in the order shown to the user. */
export const dnsNames = (sandbox: SandboxRecord, endpoint: EndpointRecord): string[] => [
  ...new Set(
    [sandbox.name, ...endpoint.request.aliases, sandbox.id.slice(0, 12), sandbox.request.hostname].filter(
      (n) => n !== '',
    ),
  ),
]

interface Seat {
  readonly sandbox: string
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
}

interface NetworkNames {
  readonly name: string
  readonly byName: Map<string, Seat[]>
  readonly byAddress: Map<string, Seat>
}

/**
 * Who is called what, on which network, in memory: one question costs a few map look-ups. Names of a network are seen by the
 * sandboxes on that network alone.
 */
export class Names implements NameSource {
  readonly #networks = new Map<string, NetworkNames>()
  /** Networks of each sandbox. */
  readonly #sandboxes = new Map<string, Set<string>>()
  readonly #servers = new Map<string, readonly string[]>()
  /** Names that only one sandbox knows (`--link`): alias to target and network. */
  readonly #links = new Map<string, Map<string, { network: string; target: string }[]>>()

  /** The networks on which a sandbox is known from now on, and with them its names. */
  set(sandbox: SandboxRecord, placed: readonly Placed[]): void {
    this.forget(sandbox.id)
    for (const { endpoint, network } of placed) this.#add(sandbox, endpoint, network)
    // Who is on internal networks alone gets nothing from outside, names included.
    if (placed.length > 0 && placed.every(({ network }) => network.internal)) this.#servers.set(sandbox.id, [])
    else if (sandbox.request.dns.length > 0) this.#servers.set(sandbox.id, sandbox.request.dns)
    else this.#servers.delete(sandbox.id)
  }

  /** Servers for all other names, where they are not the usual ones. */
  forwarders(sandboxId: string): readonly string[] | undefined {
    return this.#servers.get(sandboxId)
  }

  /** Takes all names of a sandbox away, and what only it knows. */
  forget(sandboxId: string): void {
    for (const networkId of this.#sandboxes.get(sandboxId) ?? []) this.#remove(sandboxId, networkId)
    this.#sandboxes.delete(sandboxId)
    this.#links.delete(sandboxId)
    // `#servers` stays: others may still use the sandbox.
  }

  /** The sandbox is no more. */
  drop(sandboxId: string): void {
    this.forget(sandboxId)
    this.#servers.delete(sandboxId)
  }

  #add(sandbox: SandboxRecord, endpoint: EndpointRecord, network: NetworkRecord): void {
    const names: NetworkNames = this.#networks.get(network.id) ?? {
      name: network.name,
      byName: new Map(),
      byAddress: new Map(),
    }
    this.#networks.set(network.id, names)
    const seat: Seat = { sandbox: sandbox.id, name: sandbox.name, ipv4: endpoint.ipv4, ipv6: endpoint.ipv6 }
    for (const name of dnsNames(sandbox, endpoint)) {
      const key = name.toLowerCase()
      names.byName.set(key, [...(names.byName.get(key) ?? []), seat])
    }
    for (const address of [seat.ipv4, seat.ipv6]) if (address !== '') names.byAddress.set(address, seat)
    const on = this.#sandboxes.get(sandbox.id) ?? new Set()
    this.#sandboxes.set(sandbox.id, on.add(network.id))
    for (const link of endpoint.request.links) {
      const links = this.#links.get(sandbox.id) ?? new Map<string, { network: string; target: string }[]>()
      const key = (link.alias || link.name).toLowerCase()
      const target = (link.id === '' ? link.name : link.id.slice(0, 12)).toLowerCase()
      links.set(key, [...(links.get(key) ?? []), { network: network.id, target }])
      this.#links.set(sandbox.id, links)
    }
  }

  #remove(sandboxId: string, networkId: string): void {
    const names = this.#networks.get(networkId)
    if (!names) return
    for (const [name, seats] of names.byName) {
      const left = seats.filter((s) => s.sandbox !== sandboxId)
      if (left.length === 0) names.byName.delete(name)
      else if (left.length !== seats.length) names.byName.set(name, left)
    }
    for (const [address, seat] of names.byAddress) if (seat.sandbox === sandboxId) names.byAddress.delete(address)
    if (names.byName.size === 0) this.#networks.delete(networkId)
  }

  /** Addresses of a name (lower case) as one sandbox sees it; undefined when it is nobody's. */
  lookup(sandboxId: string, name: string): NameAnswer | undefined {
    const seats = this.#seats(sandboxId, name)
    if (seats.length === 0) return undefined
    const only = (addresses: string[]): string[] => [...new Set(addresses)].filter((a) => a !== '')
    return { v4: only(seats.map((s) => s.ipv4)), v6: only(seats.map((s) => s.ipv6)) }
  }

  #seats(sandboxId: string, name: string): Seat[] {
    const found: Seat[] = []
    const links = this.#links.get(sandboxId)?.get(name)
    for (const { network, target } of links ?? [])
      found.push(...(this.#networks.get(network)?.byName.get(target) ?? []))
    if (found.length > 0) return found
    const networks = [...(this.#sandboxes.get(sandboxId) ?? [])].flatMap((id) => this.#networks.get(id) ?? [])
    for (const network of networks) found.push(...(network.byName.get(name) ?? []))
    if (found.length > 0) return found
    // `web.mynet`: the name on that network.
    for (const network of networks) {
      const suffix = `.${network.name.toLowerCase()}`
      if (name.endsWith(suffix)) found.push(...(network.byName.get(name.slice(0, -suffix.length)) ?? []))
    }
    return found
  }

  /** `web.mynet` for the address of a container on a network of that sandbox. */
  reverse(sandboxId: string, address: string): string | undefined {
    for (const id of this.#sandboxes.get(sandboxId) ?? []) {
      const network = this.#networks.get(id)
      const seat = network?.byAddress.get(address)
      if (network && seat) return `${seat.name}.${network.name}`
    }
    return undefined
  }
}
