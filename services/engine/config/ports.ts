import { isIP } from 'node:net'
import type { PortRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import type { Config, HostConfig } from './schema.ts'

export type Protocol = PortRequest['protocol']
export interface Port {
  readonly port: number
  readonly protocol: Protocol
}

/** `80/tcp`, `80`, `8000-8010/udp`, each port of a range on its own. @throws `invalid` naming the text. */
export function parsePorts(text: string): Port[] {
  const bad = (why: string) => invalid(`invalid port specification: "${text}": ${why}`)
  const [range = '', protocol = 'tcp', ...rest] = text.split('/')
  if (rest.length > 0) throw bad('want <port>[-<port>][/<protocol>]')
  const proto = protocol.toLowerCase()
  if (proto !== 'tcp' && proto !== 'udp' && proto !== 'sctp') throw bad(`invalid proto: ${protocol}`)
  const [start, end] = parseRange(range, bad)
  if (start === 0) throw bad('a container port is 1 to 65535')
  return Array.from({ length: end - start + 1 }, (_, i) => ({ port: start + i, protocol: proto }))
}

export const portKey = (p: Port): string => `${p.port}/${p.protocol}`

function parseRange(text: string, bad: (why: string) => Error): [number, number] {
  const m = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  const start = Number(m?.[1])
  const end = Number(m?.[2] ?? m?.[1])
  if (!m || start > 65535 || end > 65535) throw bad('want a port of 0 to 65535 or a range of them')
  if (end < start) throw bad('the range ends before it starts')
  return [start, end]
}

/** Every port that the container exposes: those of Config.ExposedPorts and those that are published. */
export function exposedPorts(config: Config, hostConfig: HostConfig): Port[] {
  const all = new Map<string, Port>()
  for (const text of [...Object.keys(config.ExposedPorts ?? {}), ...Object.keys(hostConfig.PortBindings ?? {})]) {
    for (const port of parsePorts(text)) all.set(portKey(port), port)
  }
  return [...all.values()]
}

/**
 * What is to be published, one entry a port: PortBindings, and with PublishAllPorts every other exposed port.
 * @throws `invalid` naming the binding.
 */
export function portRequests(config: Config, hostConfig: HostConfig): PortRequest[] {
  const requests: PortRequest[] = []
  const bound = new Set<string>()
  for (const [text, bindings] of Object.entries(hostConfig.PortBindings ?? {})) {
    const ports = parsePorts(text)
    for (const binding of bindings) {
      for (const port of ports) bound.add(portKey(port))
      requests.push(...bind(ports, binding.HostIp ?? '', binding.HostPort ?? '', text))
    }
  }
  if (hostConfig.PublishAllPorts) {
    for (const p of exposedPorts(config, hostConfig)) {
      if (bound.has(portKey(p))) continue
      requests.push({ protocol: p.protocol, containerPort: p.port, hostIp: '', hostPort: 0 })
    }
  }
  return requests
}

function bind(ports: Port[], hostIp: string, hostPort: string, text: string): PortRequest[] {
  const field = { details: { field: `HostConfig.PortBindings["${text}"]` } }
  if (hostIp !== '' && isIP(hostIp) === 0)
    throw invalid(`invalid port binding of ${text}: invalid IP address: ${hostIp}`, field)
  const one = (p: Port): PortRequest => ({ protocol: p.protocol, containerPort: p.port, hostIp, hostPort: 0 })
  if (hostPort === '' || hostPort === '0') return ports.map(one)
  const [start, end] = parseRange(hostPort, (why) =>
    invalid(`Invalid hostPort: "${hostPort}" for ${text}: ${why}`, field),
  )
  // One container port and a host range: any free port of it. As many as there are container ports: pairwise.
  if (ports.length === 1)
    return ports.map((p) => ({ ...one(p), hostPort: start, ...(end > start ? { hostPortEnd: end } : {}) }))
  if (end - start + 1 !== ports.length) {
    throw invalid(`Invalid ranges specified for container and host Ports: ${text} and ${hostPort}`, field)
  }
  return ports.map((p, i) => ({ ...one(p), hostPort: start + i }))
}
