import { randomBytes } from 'node:crypto'
import { addressText, parsePrefix } from '../../shared/kernel/inet.ts'
import { contains, type NetworkContext } from './context.ts'
import type { NetworkWish } from './network-request.ts'
import { hostRoutes } from './host-routes.ts'
import type { HostRoute } from './ipam/index.ts'
import { BRIDGE_NAME, DEFAULT_BRIDGE } from './network-options.ts'
import type { Networks } from './networks.ts'

const wish = (name: string, driver: string, more: Partial<NetworkWish> = {}): NetworkWish => ({
  name,
  driver,
  internal: false,
  attachable: false,
  ipv4: true,
  ipv6: false,
  options: {},
  labels: {},
  ipamOptions: {},
  pools: [],
  configOnly: false,
  ...more,
})

/** Docker's customary default, and others of its size for when that is in use on this host. */
const DEFAULT_BRIDGES = ['172.17.0.1/16', ...Array.from({ length: 8 }, (_, i) => `172.${31 - i}.0.1/16`)]

const P = 'com.docker.network'

/**
 * Makes the networks every engine has, those that are missing; their ids stay the same from then on. Returns what went wrong: the
 * others are of use without the default bridge.
 */
export async function ensurePredefined(c: NetworkContext, networks: Networks): Promise<string[]> {
  await networks.undone()
  const missing = (name: string): boolean => c.records.networkNamed(name) === undefined
  for (const [name, driver] of [
    ['none', 'null'],
    ['host', 'host'],
  ] as const) {
    if (missing(name)) await networks.make(newId(), wish(name, driver), { predefined: true })
  }
  try {
    const kept = renewDefaultBridge(c, networks)
    if (kept !== undefined) return [kept]
    if (missing('bridge')) await makeDefaultBridge(c, networks)
    return []
  } catch (error) {
    return [`there is no default bridge network: ${(error as Error).message}`]
  }
}

export const newId = (): string => randomBytes(32).toString('hex')

/**
 * Takes the default bridge away when the configuration has another address for it now, so that it is made anew. Containers on it keep
 * it as it is: then the operator is told.
 */
function renewDefaultBridge(c: NetworkContext, networks: Networks): string | undefined {
  const address = c.config.network?.defaultBridge
  const bridge = c.records.networkNamed('bridge')
  if (address === undefined || !bridge) return undefined
  const { subnet, gateway } = subnetOf(address)
  const pool = bridge.pools.find((p) => !p.v6)
  if (pool?.cidr === subnet && pool.gateway === gateway) return undefined
  if (c.records.endpointsOn(bridge.id).length > 0) {
    return (
      `network.defaultBridge is ${address} now, but the default bridge (${pool?.cidr ?? ''}) has containers: ` +
      'it changes at the first start of the engine without them'
    )
  }
  networks.finishRemoval(bridge)
  return undefined
}

async function makeDefaultBridge(c: NetworkContext, networks: Networks): Promise<void> {
  const device = `${c.config.engine}0`
  const options = {
    [DEFAULT_BRIDGE]: 'true',
    [`${P}.bridge.enable_icc`]: 'true',
    [`${P}.bridge.enable_ip_masquerade`]: 'true',
    [`${P}.bridge.host_binding_ipv4`]: '0.0.0.0',
    [BRIDGE_NAME]: device,
    [`${P}.driver.mtu`]: '1500',
  }
  const routes = await hostRoutes(device)
  const address = c.config.network?.defaultBridge ?? DEFAULT_BRIDGES.find((candidate) => isFree(candidate, routes))
  const pool = address === undefined ? {} : subnetOf(address)
  const network = wish('bridge', 'bridge', { options, pools: [{ v6: false, ...pool }] })
  await networks.make(newId(), network, { predefined: true })
}

/** `172.17.0.1/16` as the subnet `172.17.0.0/16` with that gateway. */
function subnetOf(address: string): { subnet: string; gateway: string } {
  const { address: gateway, length } = parsePrefix(address)
  const subnet = gateway.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))))
  return { subnet: `${addressText(subnet)}/${length}`, gateway: addressText(gateway) }
}

const isFree = (address: string, routes: readonly HostRoute[]): boolean =>
  !routes.some(({ cidr }) => {
    const [base = ''] = cidr.split('/')
    return contains(address, base) || contains(cidr, address.split('/')[0] ?? '')
  })
