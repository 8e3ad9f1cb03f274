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

/** Used when the host names no server that a container could reach. */
const PUBLIC_DNS = ['8.8.8.8', '8.8.4.4']

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
export function forwardersFrom(host: ResolvConf): string[] {
  const reachable = host.nameservers.filter((s) => !isLoopback(s))
  return reachable.length > 0 ? reachable : PUBLIC_DNS
}

/** A container's resolv.conf. `embedded`: it is on a network whose names the embedded DNS serves. */
export function resolvConfText(host: ResolvConf, wishes: DnsWishes, embedded: boolean): string {
  const servers = embedded ? [EMBEDDED_DNS] : wishes.dns.length > 0 ? wishes.dns : forwardersFrom(host)
  // `--dns-search .` means none.
  const search = wishes.dnsSearch.length > 0 ? wishes.dnsSearch.filter((s) => s !== '.') : host.search
  const given = wishes.dnsOptions.length > 0 ? wishes.dnsOptions : host.options
  // Single names go to the embedded DNS as they are, before any search domain is tried.
  const options = embedded && !given.some((o) => o.startsWith('ndots:')) ? [...given, 'ndots:0'] : given
  return [
    ...servers.map((s) => `nameserver ${s}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n')
}
