import type { EndpointRequest } from '../../shared/contracts/index.ts'
import type { EndpointSpec } from '../../shared/drivers/index.ts'
import { forbidden, invalid } from '../../shared/errors/index.ts'
import { randomBytes } from 'node:crypto'
import { contains, driven, endpointAddresses, type NetworkContext } from './context.ts'
import type { Placed } from './gateway.ts'
import { DEFAULT_BRIDGE } from './network-options.ts'
import { firewallNetwork, type Networks } from './networks.ts'
import { newId } from './predefined.ts'
import type { EndpointRecord, NetworkRecord, SandboxRecord } from './records.ts'

const P = 'com.docker.network'
/** Option of an endpoint: the interface's name in the container. */
const IFNAME = `${P}.endpoint.ifname`
/** Option of a network: what its interfaces' names begin with. */
export const IFACE_PREFIX = `${P}.container_iface_prefix`

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

  /**
   * Reserves an endpoint: addresses, MAC and interface name, in the caller's transaction. `not-found` for an unknown network;
   * addresses are refused in IPAM's words.
   */
  plan(sandbox: SandboxRecord, request: EndpointRequest): Placed {
    const network = this.#networks.resolve(request.network)
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
      const pools = network.pools.filter((p) => p.v6 === v6)
      const pool = pools.find((p) => wanted !== '' && contains(p.cidr, wanted)) ?? pools[0]
      if (!pool) {
        if (wanted === '') return ''
        throw invalid(
          `invalid address ${wanted}: network ${network.name} has no ${v6 ? 'IPv6' : 'IPv4'} subnet (create it with --subnet)`,
        )
      }
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
  if (request.mac && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(request.mac)) {
    throw invalid(`invalid MAC address ${request.mac}: it should be like 02:42:ac:11:00:02`)
  }
  // The lowest bit of the first byte makes an address a group's.
  if (request.mac && Number.parseInt(request.mac.slice(0, 2), 16) & 1) {
    throw invalid(`invalid MAC address ${request.mac}: it is a multicast address`)
  }
  for (const option of Object.keys(request.driverOptions ?? {})) {
    if (option !== IFNAME) throw invalid(`unknown endpoint option "${option}" (there is: ${IFNAME})`)
  }
  const name = request.driverOptions?.[IFNAME]
  if (name !== undefined && (!/^[^\s/:]{1,15}$/.test(name) || name === 'lo' || name === '.' || name === '..')) {
    throw invalid(`invalid value "${name}" for option ${IFNAME}: an interface name of at most 15 characters`)
  }
}

function interfaceName(network: NetworkRecord, request: EndpointRequest, others: readonly EndpointRecord[]): string {
  const taken = new Set(others.map((e) => e.interface))
  const wanted = request.driverOptions?.[IFNAME]
  if (wanted !== undefined) {
    if (taken.has(wanted)) throw invalid(`the container has an interface ${wanted} already`)
    return wanted
  }
  const prefix = network.options[IFACE_PREFIX] || 'eth'
  for (let n = 0; ; n++) if (!taken.has(`${prefix}${n}`)) return `${prefix}${n}`
}

/** Docker's scheme for IPv4, so that a container that comes back with its address has its MAC too. */
function macAddress(request: EndpointRequest, ipv4: string): string {
  if (request.mac) return request.mac.toLowerCase()
  const tail = ipv4 === '' ? [...randomBytes(4)] : ipv4.split('.').map(Number)
  return ['02', '42', ...tail.map((b) => b.toString(16).padStart(2, '0'))].join(':')
}
