import { CliError } from './fail.ts'

/** What `-p` asks for, in the API's form. */
export interface PublishedPort {
  /** `80/tcp` */
  readonly container: string
  readonly binding: { readonly HostIp: string; readonly HostPort: string }
}

/** `[[address:]hostPort:]containerPort[/protocol]`; an IPv6 address is written in brackets; an empty hostPort is any. */
export function parsePublish(text: string): PublishedPort {
  const match =
    /^(?:(?:(?<ip>\[[0-9a-fA-F:]+\]|[^:[\]]*):)?(?<host>\d*):)?(?<port>\d+)(?:\/(?<protocol>tcp|udp|sctp))?$/.exec(text)
  const { ip = '', host = '', port = '', protocol = 'tcp' } = match?.groups ?? {}
  const valid = (value: string): boolean => Number(value) >= 1 && Number(value) <= 65_535
  if (match === null || !valid(port) || (host !== '' && host !== '0' && !valid(host))) {
    throw new CliError(`cannot read port "${text}": it is [[address:]hostPort:]containerPort[/tcp|udp|sctp]`)
  }
  return { container: `${port}/${protocol}`, binding: { HostIp: ip.replace(/^\[|\]$/g, ''), HostPort: host } }
}
