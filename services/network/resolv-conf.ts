/** What a resolv.conf says (resolv.conf(5)). */
export interface ResolvConf {
  readonly nameservers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
}

export interface DnsWishes {
  readonly dns: readonly string[]
  readonly dnsSearch: readonly string[]
  readonly dnsOptions: readonly string[]
}

/** Where the embedded DNS listens in a sandbox. */
export const EMBEDDED_DNS = '127.0.0.11'

/** Used, as Docker does, when the host names no server that can be reached. */
export const PUBLIC_DNS = ['8.8.8.8', '8.8.4.4']
const PUBLIC_DNS_V6 = ['2001:4860:4860::8888', '2001:4860:4860::8844']

/**
 * Where a container's questions go: to the embedded DNS; as the host's own; or to the host's servers from another network, over IPv4
 * alone or over both families.
 */
export type DnsReach = 'embedded' | 'host' | 'ipv4' | 'dual'

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = []
  let search: string[] = []
  const options: string[] = []
  for (const line of text.split('\n')) {
    const [key, ...values] = line.trim().split(/\s+/)
    if (key === 'nameserver' && values[0] !== undefined) nameservers.push(values[0])
    // The last `search` or `domain` counts.
    if (key === 'search' || key === 'domain') search = values
    if (key === 'options') options.push(...values)
  }
  return { nameservers, search, options }
}

const isLoopback = (address: string): boolean =>
  /^127\./.test(address) || address === '::1' || address.startsWith('::1%')

/** Servers of the host that a container can reach too; public ones when there are none. */
export function forwardersFrom(host: ResolvConf, reach: 'ipv4' | 'dual'): string[] {
  // An address with a zone is on one of the host's links.
  const reachable = host.nameservers.filter(
    (s) => !isLoopback(s) && !s.includes('%') && (reach === 'dual' || !s.includes(':')),
  )
  if (reachable.length > 0) return reachable
  return reach === 'dual' ? [...PUBLIC_DNS, ...PUBLIC_DNS_V6] : PUBLIC_DNS
}

function serversFor(host: ResolvConf, wishes: DnsWishes, reach: DnsReach): readonly string[] {
  if (reach === 'embedded') return [EMBEDDED_DNS]
  if (wishes.dns.length > 0) return wishes.dns
  return reach === 'host' ? host.nameservers : forwardersFrom(host, reach)
}

/** A container's resolv.conf. */
export function resolvConfText(host: ResolvConf, wishes: DnsWishes, reach: DnsReach): string {
  const servers = serversFor(host, wishes, reach)
  // `--dns-search .` means none.
  const search = wishes.dnsSearch.length > 0 ? wishes.dnsSearch.filter((s) => s !== '.') : host.search
  const given = wishes.dnsOptions.length > 0 ? wishes.dnsOptions : host.options
  // Single names go to the embedded DNS as they are, before any search domain is tried.
  const options = reach === 'embedded' && !given.some((o) => o.startsWith('ndots:')) ? [...given, 'ndots:0'] : given
  return [
    ...servers.map((s) => `nameserver ${s}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n')
}
