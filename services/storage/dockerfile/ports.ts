import { invalid } from '../../../shared/errors/index.ts'

const PROTOCOLS = ['tcp', 'udp', 'sctp']

/** `80`, `53/udp`, `8000-8010/tcp` as ports with their protocol: `['80/tcp']`. */
export function parsePorts(text: string): string[] {
  const [range = '', protocol = 'tcp', ...more] = text.split('/')
  if (more.length > 0 || !PROTOCOLS.includes(protocol.toLowerCase())) throw invalid(`invalid proto: ${text}`)
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range)
  const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
  if (!match || to > 65535 || from > to || from < 1) throw invalid(`invalid containerPort: ${text}`)
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}/${protocol.toLowerCase()}`)
}
