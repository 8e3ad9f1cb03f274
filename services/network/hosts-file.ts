import { invalid } from '../../shared/errors/index.ts'

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

/** Lines that change while the container runs: linked containers and its own names. */
export function changingLines(content: HostsContent): string[] {
  const { hostname, domainname } = content
  const self = domainname === '' ? hostname : `${hostname}.${domainname} ${hostname}`
  const lines = [
    ...content.links.map(({ address, names }) => ({ address, names: names.join(' ') })),
    ...(hostname === '' ? [] : content.own.map((address) => ({ address, names: self }))),
  ]
  return lines.filter((l) => l.address !== '').map((l) => `${l.address}\t${l.names}`)
}

/** `name:address` lines. @throws `invalid` when `host-gateway` stands for nothing. */
export const extraHostsText = (content: Pick<HostsContent, 'extraHosts' | 'hostGateway'>): string =>
  content.extraHosts
    .map((entry) => {
      const at = entry.indexOf(':')
      const [names, value] = [entry.slice(0, at), entry.slice(at + 1)]
      const address = value === 'host-gateway' ? content.hostGateway : value
      if (address === undefined) {
        throw invalid(
          `unable to derive the IP value for host-gateway: there is no default bridge network; say --add-host ${names}:<address>`,
        )
      }
      return `${address}\t${names}\n`
    })
    .join('')

/** A new /etc/hosts. */
export const hostsText = (content: HostsContent): string =>
  BASE.map((line) => `${line}\n`).join('') +
  extraHostsText(content) +
  changingLines(content)
    .map((line) => `${line}\n`)
    .join('')

/** An /etc/hosts that the container may have written to, with the lines of ours that there were as they are `now`. */
export function refreshHosts(current: string, before: readonly string[], now: readonly string[]): string {
  const lines = current === '' ? [] : current.replace(/\n$/, '').split('\n')
  for (const line of before) {
    const at = lines.indexOf(line)
    if (at !== -1 && !now.includes(line)) lines.splice(at, 1)
  }
  lines.push(...now.filter((line) => !lines.includes(line)))
  return lines.map((line) => `${line}\n`).join('')
}
