import { execFileSync } from 'node:child_process'
import type { NetworkService } from '../support/network-service.ts'

interface Element {
  readonly concat: readonly unknown[]
}
interface Listing {
  readonly nftables: readonly {
    map?: { name: string; elem?: [Element, Element][] }
    set?: { name: string; elem?: string[] }
  }[]
}
interface PortRow {
  readonly protocol: string
  readonly host_port: number
  readonly host_ip: string
  readonly owner: string
  readonly container_port: number
}

/** What the kernel's table has that the database does not plan, and the other way round. Ports are published on every address. */
export function firewallDifferences(net: NetworkService, engine: string): string[] {
  const text = execFileSync('nft', ['-j', 'list', 'table', 'inet', `gantry-${engine}`], { encoding: 'utf8' })
  const { nftables } = JSON.parse(text) as Listing
  const found = nftables.flatMap(({ map, set }) => [
    ...(map?.elem ?? []).map(([key, value]) => `${map?.name} ${key.concat.join(' ')} to ${value.concat.join(' ')}`),
    ...(set?.name === 'bridges' ? (set.elem ?? []).map((bridge) => `bridge ${bridge}`) : []),
  ])
  const planned = [
    ...net.store.all<PortRow>('SELECT * FROM ports').map((row) => {
      const v6 = row.host_ip === '::'
      const addresses = addressesOf(net, row.owner, v6 ? 'ipv6' : 'ipv4')
      const key = `publish${v6 ? 6 : 4}_any ${row.protocol} ${row.host_port}`
      return (
        addresses.map((address) => `${key} to ${address} ${row.container_port}`).find((one) => found.includes(one)) ??
        key
      )
    }),
    ...net.store
      .all<{ id: string; name: string }>("SELECT id, name FROM networks WHERE driver = 'bridge' AND phase = 'ready'")
      .map(({ id, name }) => `bridge ${name === 'bridge' ? `${engine}0` : `br-${id.slice(0, 12)}`}`),
  ]
  return [
    ...found.filter((one) => !planned.includes(one)).map((one) => `only in the kernel: ${one}`),
    ...planned.filter((one) => !found.includes(one)).map((one) => `only in the database: ${one}`),
  ]
}

const addressesOf = (net: NetworkService, sandbox: string, family: 'ipv4' | 'ipv6'): string[] =>
  net.store.all<{ a: string }>(`SELECT ${family} AS a FROM endpoints WHERE sandbox = ?`, sandbox).map(({ a }) => a)
