import type { Filters, Json } from '../../shared/contracts/index.ts'
import { invalid } from '../../shared/errors/index.ts'
import { ipamConfig } from './config-networks.ts'
import { withPrefix } from './context.ts'
import type { EndpointRecord, NetworkRecord } from './records.ts'

/** One user of a network, for its `Containers`. */
export interface NetworkUser {
  readonly endpoint: EndpointRecord
  /** Container id and name. */
  readonly container: string
  readonly name: string
}

/** A network in Docker's form (API 1.51). */
export function networkView(network: NetworkRecord, users: readonly NetworkUser[]): Json {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: network.ipv4,
    EnableIPv6: network.ipv6,
    IPAM: {
      Driver: 'default',
      Options: network.ipamOptions,
      Config: ipamConfig(network),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: network.configFrom ?? '' },
    ConfigOnly: network.template !== undefined,
    Containers: Object.fromEntries(
      users.map(({ endpoint, container, name }) => [
        container,
        {
          Name: name,
          EndpointID: endpoint.id,
          MacAddress: endpoint.mac,
          IPv4Address: withPrefix(network, endpoint.ipv4),
          IPv6Address: withPrefix(network, endpoint.ipv6),
        },
      ]),
    ),
    Options: network.options,
    Labels: network.labels,
  }
}

const FILTERS = ['driver', 'id', 'label', 'label!', 'name', 'scope', 'type', 'dangling', 'until'] as const
const bool = (value: string): boolean | undefined =>
  /^(true|1)$/i.test(value) ? true : /^(false|0)$/i.test(value) ? false : undefined

/** Whether a label map meets `key` or `key=value`. */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=')
  if (at === -1) return wanted in labels
  return labels[wanted.slice(0, at)] === wanted.slice(at + 1)
}

const matchesName = (name: string, wanted: string): boolean => {
  if (name.includes(wanted)) return true
  try {
    return new RegExp(wanted).test(name)
  } catch {
    return false
  }
}

/** Networks that meet Docker's list filters; `used` says whether a network has endpoints. */
export function filterNetworks(
  networks: readonly NetworkRecord[],
  filters: Filters,
  used: (network: NetworkRecord) => boolean,
): NetworkRecord[] {
  for (const [name, values] of Object.entries(filters)) {
    if (!(FILTERS as readonly string[]).includes(name)) throw invalid(`invalid filter '${name}'`)
    for (const value of values) checkFilter(name, value)
  }
  const any = (name: string, test: (value: string) => boolean): boolean => {
    const values = filters[name]
    return values === undefined || values.length === 0 || values.some(test)
  }
  const until = filters['until']?.[0]
  return networks.filter(
    (n) =>
      any('driver', (v) => n.driver === v) &&
      any('id', (v) => n.id.startsWith(v)) &&
      (filters['label'] ?? []).every((v) => hasLabel(n.labels, v)) &&
      !(filters['label!'] ?? []).some((v) => hasLabel(n.labels, v)) &&
      any('name', (v) => matchesName(n.name, v)) &&
      any('scope', (v) => v === 'local') &&
      any('type', (v) => (v === 'builtin') === n.predefined) &&
      any('dangling', (v) => bool(v) === (!n.predefined && !used(n))) &&
      (until === undefined || Date.parse(n.created) < parseUntil(until)),
  )
}

function checkFilter(name: string, value: string): void {
  if (name === 'type' && value !== 'custom' && value !== 'builtin') {
    throw invalid(`invalid filter: 'type'='${value}' (custom or builtin)`)
  }
  if (name === 'dangling' && bool(value) === undefined) {
    throw invalid(`invalid filter 'dangling=${value}': true or false`)
  }
  if (name === 'until') parseUntil(value)
}

const UNITS: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3600e3 }

/** `until`: seconds since the epoch, RFC 3339, or a duration back from now (`1h30m`). Milliseconds since the epoch. */
function parseUntil(value: string): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000
  if (/^(\d+[smh])+$/.test(value)) {
    const parts = [...value.matchAll(/(\d+)([smh])/g)]
    return Date.now() - parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ''] ?? 0), 0)
  }
  const at = Date.parse(value)
  if (Number.isNaN(at)) throw invalid(`invalid filter 'until=${value}': a time or a duration such as 1h30m`)
  return at
}
