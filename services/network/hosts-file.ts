const BASE = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
]

export interface HostsContent {
  /** Addresses of the container itself. */
  readonly own: readonly string[]
  readonly hostname: string
  readonly domainname: string
  /** `name:address`, where address may be `host-gateway`. */
  readonly extraHosts: readonly string[]
  /** What `host-gateway` stands for; undefined when there is no default bridge address. */
  readonly hostGateway: string | undefined
  /** Linked containers; without an address while they do not run. */
  readonly links: readonly { readonly address: string; readonly names: readonly string[] }[]
}

interface Line {
  readonly address: string
  readonly names: string
}

const text = (lines: readonly Line[]): string => lines.map((l) => `${l.address}\t${l.names}\n`).join('')

/** Lines that change while the container runs. */
function changing(content: HostsContent): Line[] {
  const { hostname, domainname } = content
  const self = domainname === '' ? hostname : `${hostname}.${domainname} ${hostname}`
  return [
    ...content.links.map(({ address, names }) => ({ address, names: names.join(' ') })),
    ...(hostname === '' ? [] : content.own.map((address) => ({ address, names: self }))),
    // So that a name without an address is still known as ours, to be taken out.
    ...(hostname === '' ? [] : [{ address: '', names: self }]),
  ]
}

/** `name:address` lines. A `host-gateway` without an address to stand for is left out. */
export const extraHostsText = (content: Pick<HostsContent, 'extraHosts' | 'hostGateway'>): string =>
  text(
    content.extraHosts.flatMap((entry) => {
      const at = entry.indexOf(':')
      const [names, value] = [entry.slice(0, at), entry.slice(at + 1)]
      const address = value === 'host-gateway' ? content.hostGateway : value
      return address === undefined ? [] : [{ address, names }]
    }),
  )

/** A new /etc/hosts. */
export const hostsText = (content: HostsContent): string =>
  BASE.map((line) => `${line}\n`).join('') +
  extraHostsText(content) +
  text(changing(content).filter((l) => l.address !== ''))

/** An /etc/hosts that the container may have written to, with the lines that change as they are now. */
export function refreshHosts(current: string, content: HostsContent): string {
  const lines = changing(content)
  const ours = new Set(lines.map((l) => l.names))
  const kept = current.split('\n').filter((line) => line !== '' && !ours.has(line.split('\t')[1] ?? ''))
  return kept.map((line) => `${line}\n`).join('') + text(lines.filter((l) => l.address !== ''))
}
