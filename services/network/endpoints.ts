import type { EndpointRequest } from '../../shared/contracts/index.ts'
import type { EndpointSpec } from '../../shared/drivers/index.ts'
import { forbidden, invalid, isKind, notFound } from '../../shared/errors/index.ts'
import { randomBytes } from 'node:crypto'
import { parseMac } from '../../shared/mac.ts'
import { contains, driven, endpointAddresses, type NetworkContext } from './context.ts'
import { applyEndpointSysctls, checkEndpointOptions, wantedInterface } from './endpoint-options.ts'
import type { Placed } from './gateway.ts'
import { checkAddress, type Pool } from './ipam/index.ts'
import { DEFAULT_BRIDGE, DOCKER_PREFIX } from './network-options.ts'
import { firewallNetwork, type Networks } from './networks.ts'
import { newId } from './predefined.ts'
import type { EndpointRecord, NetworkRecord, SandboxRecord } from './records.ts'

/** Option of a network: what its interfaces' names begin with. */
export const IFACE_PREFIX = `${DOCKER_PREFIX}container_iface_prefix`

export const isDefaultBridge = (network: NetworkRecord): boolean => network.options[DEFAULT_BRIDGE] === 'true'

/** Endpoints: an address and an interface of a sandbox on a network. */
export class Endpoints {
  readonly #c: NetworkContext
  readonly #networks: Networks

  constructor(context: NetworkContext, networks: Networks) {
    this.#c = context
    this.#networks = networks
  }

  /** The sandbox's endpoints with their networks, in the order in which they were asked for. */
  of(sandboxId: string): Placed[] {
    return this.#c.records.endpointsOf(sandboxId).flatMap((endpoint) => {
      const network = this.#c.records.network(endpoint.network)
      return network ? [{ endpoint, network }] : []
    })
  }

  /** The id of the network that a request means; what it says when there is none. */
  networkId({ network, networkName }: Pick<EndpointRequest, 'network' | 'networkName'>): string {
    const { records } = this.#c
    const named = (name: string): string | undefined => records.networkNamed(name === 'default' ? 'bridge' : name)?.id
    if (records.network(network)?.phase === 'ready') return network
    return named(network) ?? (networkName === undefined ? undefined : named(networkName)) ?? network
  }

  #network(request: EndpointRequest): NetworkRecord {
    try {
      return this.#networks.resolve(this.networkId(request))
    } catch (error) {
      // The name says more than an id that nobody has any more.
      if (isKind(error, 'not-found')) throw notFound(`network ${request.networkName ?? request.network} not found`)
      throw error
    }
  }

  /** Throws what `plan` would, but for what depends on others. */
  check(request: EndpointRequest): void {
    const network = this.#c.records.network(this.networkId(request))
    if (network?.phase !== 'ready') return
    checkRequest(request, network)
    for (const [v6, wanted] of [
      [false, request.ipv4 ?? ''],
      [true, request.ipv6 ?? ''],
    ] as const) {
      const pool = this.#pool(network, v6, wanted)
      if (pool && wanted !== '') checkAddress(pool.cidr, wanted)
    }
  }

  /** The pool of a network that an address is to come from; undefined when it has none and needs none. */
  #pool(network: NetworkRecord, v6: boolean, wanted: string): Pool | undefined {
    const pools = network.pools.filter((p) => p.v6 === v6)
    const pool = pools.find((p) => wanted !== '' && contains(p.cidr, wanted)) ?? pools[0]
    if (pool || wanted === '') return pool
    throw invalid(
      `invalid address ${wanted}: network ${network.name} has no ${v6 ? 'IPv6' : 'IPv4'} subnet (create it with --subnet)`,
    )
  }

  /**
   * Reserves an endpoint: addresses, MAC and interface name, in the caller's transaction. `not-found` for an unknown network;
   * addresses are refused in IPAM's words.
   */
  plan(sandbox: SandboxRecord, request: EndpointRequest): Placed {
    const network = this.#network(request)
    if (network.template) throw forbidden(`cannot connect a container to configuration network ${network.name}`)
    const { capabilities } = this.#c.drivers.get(network.driver).manifest
    // Nobody comes onto a network whose isolation cannot be had.
    if (firewallNetwork(this.#c, network)) this.#c.firewall.require()
    const others = this.#c.records.endpointsOf(sandbox.id)
    if (others.some((e) => e.network === network.id)) {
      throw forbidden(`endpoint with name ${sandbox.name} already exists in network ${network.name}`)
    }
    checkRequest(request, network)
    const hasInterface = capabilities['connectivity'] === 'bridge' || capabilities['connectivity'] === 'l2'
    if (sandbox.mode === 'private' && !hasInterface) {
      throw invalid(`container cannot be connected to network ${network.name}: it must be created in that mode`)
    }
    const addresses =
      capabilities['ipam'] === true ? this.#addresses(sandbox, network, request) : { ipv4: '', ipv6: '' }
    const endpoint: EndpointRecord = {
      id: newId(),
      sandbox: sandbox.id,
      network: network.id,
      interface: hasInterface ? interfaceName(network, request, others) : '',
      mac: hasInterface ? macAddress(request, addresses.ipv4) : '',
      ...addresses,
      request,
      state: undefined,
      hostInterface: '',
      phase: 'creating',
      position: Math.max(-1, ...others.map((e) => e.position)) + 1,
    }
    this.#c.records.putEndpoint(endpoint)
    return { endpoint, network }
  }

  #addresses(sandbox: SandboxRecord, network: NetworkRecord, request: EndpointRequest): { ipv4: string; ipv6: string } {
    const take = (v6: boolean): string => {
      const wanted = (v6 ? request.ipv6 : request.ipv4) ?? ''
      const pool = this.#pool(network, v6, wanted)
      if (!pool) return ''
      return this.#c.ipam.requestAddress({
        networkId: network.id,
        cidr: pool.cidr,
        owner: sandbox.id,
        holder: `container ${sandbox.name}`,
        ...(wanted === '' ? {} : { wanted }),
      })
    }
    return { ipv4: take(false), ipv6: take(true) }
  }

  /** Makes it real. The returned record is ready, and is the caller's to write. */
  async attach({ endpoint, network }: Placed, netns: string): Promise<Placed> {
    const { driver, spec } = driven(this.#c, network)
    const state = network.state ?? { version: 1 }
    const result = await driver.createEndpoint(spec, state, endpointSpec(network, endpoint, netns))
    applyEndpointSysctls(endpoint, netns)
    return {
      network,
      endpoint: { ...endpoint, state: result.state, hostInterface: result.hostInterface ?? '', phase: 'ready' },
    }
  }

  /** Takes it out of traffic at once; the promise resolves when its interface is gone. */
  detach({ endpoint, network }: Placed, netns: string): Promise<void> {
    const { driver, spec } = driven(this.#c, network)
    return driver.deleteEndpoint(spec, endpointSpec(network, endpoint, netns), endpoint.state)
  }

  /** Gives its address back and forgets it, in the caller's transaction. */
  forget({ endpoint, network }: Placed): void {
    this.#c.ipam.releaseOwner(endpoint.sandbox, network.id)
    this.#c.records.deleteEndpoint(endpoint.id)
  }
}

export const endpointSpec = (network: NetworkRecord, endpoint: EndpointRecord, netns: string): EndpointSpec => ({
  id: endpoint.id,
  netns,
  interface: endpoint.interface,
  mac: endpoint.mac,
  addresses: endpointAddresses(network, endpoint),
  options: endpoint.request.driverOptions ?? {},
})

function checkRequest(request: EndpointRequest, network: NetworkRecord): void {
  if ((request.ipv4 || request.ipv6) && (network.predefined || isDefaultBridge(network))) {
    throw invalid(
      `invalid config for network ${network.name}: user specified IP address is supported on user defined networks only`,
    )
  }
  if (request.mac) checkMac(request.mac)
  checkEndpointOptions(request.driverOptions ?? {})
}

function checkMac(text: string): void {
  const mac = parseMac(text)
  if (mac === undefined) throw invalid(`invalid MAC address ${text}: it should be like 02:42:ac:11:00:02`)
  // The lowest bit of the first byte makes an address a group's.
  if (Number.parseInt(mac.slice(0, 2), 16) & 1) throw invalid(`invalid MAC address ${text}: it is a multicast address`)
  if (/^[0:]+$/.test(mac)) throw invalid(`invalid MAC address ${text}: it is no interface's`)
}

function interfaceName(network: NetworkRecord, request: EndpointRequest, others: readonly EndpointRecord[]): string {
  const taken = new Set(others.map((e) => e.interface))
  const wanted = wantedInterface(request.driverOptions)
  if (wanted !== undefined) {
    if (taken.has(wanted)) throw invalid(`the container has an interface ${wanted} already`)
    return wanted
  }
  const prefix = network.options[IFACE_PREFIX] || 'eth'
  for (let n = 0; ; n++) if (!taken.has(`${prefix}${n}`)) return `${prefix}${n}`
}

/** Docker's scheme for IPv4, so that a container that comes back with its address has its MAC too. */
function macAddress(request: EndpointRequest, ipv4: string): string {
  const wanted = parseMac(request.mac ?? '')
  if (wanted !== undefined) return wanted
  const tail = ipv4 === '' ? [...randomBytes(4)] : ipv4.split('.').map(Number)
  return ['02', '42', ...tail.map((b) => b.toString(16).padStart(2, '0'))].join(':')
}
