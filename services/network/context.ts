import { BlockList } from 'node:net'
import type { Config } from '../../shared/config/index.ts'
import type { DriverSet, NetworkDriver, NetworkSpec } from '../../shared/drivers/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import type { Store } from '../../shared/store/index.ts'
import type { Firewall } from './firewall/index.ts'
import type { Ipam, Pool } from './ipam/index.ts'
import { driverOptions } from './network-options.ts'
import type { PortAllocator } from './ports/index.ts'
import type { EndpointRecord, NetworkRecord, Records } from './records.ts'

/** What the parts of the service share. */
export interface NetworkContext {
  readonly config: Config
  readonly log: Logger
  readonly store: Store
  readonly records: Records
  readonly drivers: DriverSet<NetworkDriver>
  readonly ipam: Ipam
  readonly ports: PortAllocator
  readonly firewall: Firewall
  /** Work that goes on after a verb was answered: interfaces on their way out. */
  readonly background: Background
}

/** A network's driver, and the network as that sees it. */
export function driven(
  { drivers }: Pick<NetworkContext, 'drivers'>,
  n: NetworkRecord,
): { driver: NetworkDriver; spec: NetworkSpec } {
  const driver = drivers.get(n.driver)
  return { driver, spec: networkSpec(driver, n) }
}

const networkSpec = ({ manifest }: NetworkDriver, n: NetworkRecord): NetworkSpec => ({
  id: n.id,
  name: n.name,
  subnets: n.pools.map(({ cidr, gateway }) => ({ cidr, gateway })),
  internal: n.internal,
  ipv6: n.ipv6,
  options: driverOptions(n.options, manifest),
})

/** Addresses of an endpoint with their networks' prefix lengths. */
export const endpointAddresses = (network: NetworkRecord, e: Pick<EndpointRecord, 'ipv4' | 'ipv6'>): string[] =>
  [e.ipv4, e.ipv6].map((address) => withPrefix(network, address)).filter((address) => address !== '')

/** `10.1.2.3/24`; empty where there is no address. */
export const withPrefix = (network: NetworkRecord, address: string): string =>
  address === '' ? '' : `${address}/${prefixLength(network, address)}`

/** The prefix length that an address has on a network; 0 where there is no address. */
export const prefixLength = (network: NetworkRecord, address: string): number =>
  Number(poolOf(network, address)?.cidr.split('/')[1] ?? 0)

/** The pool of a network that an address is of; the network may have several of a family. */
export function poolOf(network: NetworkRecord, address: string): Pool | undefined {
  if (address === '') return undefined
  const [pool, ...others] = network.pools.filter((p) => p.v6 === address.includes(':'))
  return others.length === 0 ? pool : [pool, ...others].find((p) => p && contains(p.cidr, address))
}

/** Whether an address lies in a subnet. */
export function contains(cidr: string, address: string): boolean {
  const [base = '', length = ''] = cidr.split('/')
  const family = base.includes(':') ? 'ipv6' : 'ipv4'
  if (address.includes(':') !== base.includes(':')) return false
  const list = new BlockList()
  list.addSubnet(base, Number(length), family)
  return list.check(address, family)
}

/** Remembers promises of work nobody waits for, so that a failure is logged and the end can wait for them. */
export class Background {
  readonly #log: Logger
  readonly #running = new Set<Promise<void>>()

  constructor(log: Logger) {
    this.#log = log
  }

  add(what: string, work: Promise<unknown>): void {
    const done = work
      .then(
        () => undefined,
        (error: unknown) => this.#log.warn({ error }, `${what} failed`),
      )
      .finally(() => this.#running.delete(done))
    this.#running.add(done)
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
