import { readFileSync } from 'node:fs'
import { arch, cpus, hostname, release, totalmem } from 'node:os'

/** What /info and /version tell of the machine. */
export interface HostFacts {
  readonly hostname: string
  readonly kernel: string
  readonly operatingSystem: string
  readonly osVersion: string
  /** As uname(1) says it: x86_64, aarch64. */
  readonly machine: string
  /** As Go and OCI say it: amd64, arm64. */
  readonly architecture: string
  readonly cpus: number
  readonly memory: number
}

const MACHINE: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }
const ARCHITECTURE: Readonly<Record<string, string>> = { x64: 'amd64' }

export function hostFacts(): HostFacts {
  const os = osRelease()
  return {
    hostname: hostname(),
    kernel: release(),
    operatingSystem: os['PRETTY_NAME'] ?? 'Linux',
    osVersion: os['VERSION_ID'] ?? '',
    machine: MACHINE[arch()] ?? arch(),
    architecture: ARCHITECTURE[arch()] ?? arch(),
    cpus: cpus().length,
    memory: totalmem(),
  }
}

/** os-release(5): NAME=value lines, the value possibly quoted. */
function osRelease(): Record<string, string> {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      const lines = readFileSync(path, 'utf8').matchAll(/^([A-Z_]+)=("?)(.*)\2$/gm)
      return Object.fromEntries([...lines].map(([, name = '', , value = '']) => [name, value]))
    } catch {
      // The next place.
    }
  }
  return {}
}
