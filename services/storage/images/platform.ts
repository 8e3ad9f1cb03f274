import { invalid } from '../../../shared/errors/index.ts'
import { ARCHITECTURE } from './config.ts'

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

const NAMES: Readonly<Record<string, Platform>> = {
  x86_64: { os: 'linux', architecture: 'amd64' },
  'x86-64': { os: 'linux', architecture: 'amd64' },
  aarch64: { os: 'linux', architecture: 'arm64' },
  armhf: { os: 'linux', architecture: 'arm', variant: 'v7' },
  armel: { os: 'linux', architecture: 'arm', variant: 'v6' },
  i386: { os: 'linux', architecture: '386' },
}

/** `linux/arm64/v8`, `linux/amd64`, `arm64`, or empty for this machine's. */
export function parsePlatform(text: string | undefined): Platform {
  if (text === undefined || text === '') return { os: 'linux', architecture: ARCHITECTURE }
  const parts = text.toLowerCase().split('/')
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part))) {
    throw invalid(`"${text}" is an invalid platform: the form is os[/architecture[/variant]], for example linux/amd64`)
  }
  const [first = '', second, third] = parts
  if (second === undefined) {
    return first === 'linux'
      ? { os: first, architecture: ARCHITECTURE }
      : (NAMES[first] ?? { os: 'linux', architecture: first })
  }
  if (first !== 'linux') throw invalid(`operating system is not supported: "${first}" (images must be for linux)`)
  const known = NAMES[second] ?? { os: first, architecture: second }
  return third === undefined ? known : { ...known, variant: third }
}
