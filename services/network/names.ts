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

/** A sandbox as others find it on one network. */
interface Seat {
  readonly network: NetworkNames
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
  /** Under which it stands in the network's maps. */
  readonly keys: readonly string[]
}

interface NetworkNames {
  readonly id: string
  readonly name: string
  readonly byName: Map<string, Set<Seat>>
  readonly byAddress: Map<string, Seat>
}

/** What a sandbox sees, whether others find it or not. */
interface View {
  /** Ids of its networks. */
  readonly networks: readonly string[]
  /** Names that only it knows (`--link`): alias to the target's name on a network. */
  readonly links: ReadonlyMap<string, readonly { readonly network: string; readonly target: string }[]>
  readonly servers: readonly string[] | undefined
}

/**
 * Who is called what, on which network, in memory: one question costs a few map look-ups. Names of a network are seen by the
 * sandboxes on that network alone. Being found by others and seeing them are two things: a sandbox whose container has ended, but
 * which others still use, is found no more and still sees.
 */
export class Names implements NameSource {
  readonly #networks = new Map<string, NetworkNames>()
  /** Of each sandbox that others find. */
  readonly #seats = new Map<string, readonly Seat[]>()
  readonly #views = new Map<string, View>()

  /**
   * A sandbox as it is from now on: `served` are its endpoints on networks whose names are told here, `all` those on any network.
   * Others find it as long as its container uses it.
   */
  set(sandbox: SandboxRecord, served: readonly Placed[], all: readonly Placed[] = served): void {
    this.forget(sandbox.id)
    this.#views.set(sandbox.id, {
      networks: served.map(({ network }) => network.id),
      links: linksOf(served),
      servers: serversOf(sandbox, all),
    })
    if (sandbox.phase !== 'ready') return
    this.#seats.set(
      sandbox.id,
      served.map(({ endpoint, network }) => this.#seat(sandbox, endpoint, network)),
    )
  }

  /** Servers for all other names, where they are not the usual ones. */
  forwarders(sandboxId: string): readonly string[] | undefined {
    return this.#views.get(sandboxId)?.servers
  }

  /** Others do not find the sandbox any more; it still sees them. */
  forget(sandboxId: string): void {
    for (const seat of this.#seats.get(sandboxId) ?? []) this.#unseat(seat)
    this.#seats.delete(sandboxId)
  }

  /** The sandbox is no more. */
  drop(sandboxId: string): void {
    this.forget(sandboxId)
    this.#views.delete(sandboxId)
  }

  #seat(sandbox: SandboxRecord, endpoint: EndpointRecord, { id, name }: NetworkRecord): Seat {
    const network: NetworkNames = this.#networks.get(id) ?? { id, name, byName: new Map(), byAddress: new Map() }
    this.#networks.set(id, network)
    const { ipv4, ipv6 } = endpoint
    const keys = [...new Set(dnsNames(sandbox, endpoint).map((name) => name.toLowerCase()))]
    const seat: Seat = { network, name: sandbox.name, ipv4, ipv6, keys }
    for (const key of keys) network.byName.set(key, (network.byName.get(key) ?? new Set()).add(seat))
    for (const address of [ipv4, ipv6]) if (address !== '') network.byAddress.set(address, seat)
    return seat
  }

  #unseat(seat: Seat): void {
    const { network, keys, ipv4, ipv6 } = seat
    for (const key of keys) {
      const seats = network.byName.get(key)
      if (seats?.delete(seat) && seats.size === 0) network.byName.delete(key)
    }
    // Another may have the address by now.
    for (const address of [ipv4, ipv6]) if (network.byAddress.get(address) === seat) network.byAddress.delete(address)
    if (network.byName.size === 0) this.#networks.delete(network.id)
  }

  /** Addresses of a name (lower case) as one sandbox sees it; undefined when it is nobody's. */
  lookup(sandboxId: string, name: string): NameAnswer | undefined {
    const view = this.#views.get(sandboxId)
    const seats = view ? this.#find(view, name) : []
    if (seats.length === 0) return undefined
    const only = (addresses: string[]): string[] => [...new Set(addresses)].filter((a) => a !== '')
    return { v4: only(seats.map((s) => s.ipv4)), v6: only(seats.map((s) => s.ipv6)) }
  }

  #find(view: View, name: string): Seat[] {
    const on = (networkId: string, key: string): Iterable<Seat> => this.#networks.get(networkId)?.byName.get(key) ?? []
    const linked = (view.links.get(name) ?? []).flatMap(({ network, target }) => [...on(network, target)])
    if (linked.length > 0) return linked
    const plain = view.networks.flatMap((id) => [...on(id, name)])
    if (plain.length > 0) return plain
    // `web.mynet`: the name on that network.
    return view.networks.flatMap((id) => {
      const suffix = `.${this.#networks.get(id)?.name.toLowerCase() ?? ''}`
      return name.endsWith(suffix) ? [...on(id, name.slice(0, -suffix.length))] : []
    })
  }

  /** `web.mynet` for the address of a container on a network of that sandbox. */
  reverse(sandboxId: string, address: string): string | undefined {
    for (const id of this.#views.get(sandboxId)?.networks ?? []) {
      const network = this.#networks.get(id)
      const seat = network?.byAddress.get(address)
      if (network && seat) return `${seat.name}.${network.name}`
    }
    return undefined
  }
}

/** Links name their targets: whoever has that name when it is asked for, so that one that is made anew is found as well. */
function linksOf(placed: readonly Placed[]): View['links'] {
  const links = new Map<string, { network: string; target: string }[]>()
  for (const { endpoint, network } of placed) {
    for (const { name, alias } of endpoint.request.links) {
      const key = (alias || name).toLowerCase()
      // Containers are known by their short ids.
      const target = /^[0-9a-f]{64}$/.test(name) ? name.slice(0, 12) : name.toLowerCase()
      links.set(key, [...(links.get(key) ?? []), { network: network.id, target }])
    }
  }
  return links
}

/** `--dns` is asked from within the sandbox, so it may be on an internal network; the usual servers are not for who is on such alone. */
function serversOf({ request }: SandboxRecord, placed: readonly Placed[]): readonly string[] | undefined {
  const internal = placed.length > 0 && placed.every(({ network }) => network.internal)
  return internal || request.dns.length > 0 ? request.dns : undefined
}
