import { readFileSync } from 'node:fs'
import { invalid } from '../../../shared/errors/index.ts'

/** In the order of their numbers: linux/capability.h, capabilities(7). */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const

/** What a container has unless it is told otherwise: Docker's fourteen. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
]

/** The capabilities in a mask of /proc/PID/status. */
export function capabilitiesIn(mask: bigint): string[] {
  return CAPABILITIES.filter((_, bit) => (mask >> BigInt(bit)) & 1n)
}

/** What this process may give to a container: its bounding set. */
export function availableCapabilities(status = readFileSync('/proc/self/status', 'utf8')): string[] {
  return capabilitiesIn(BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`))
}

export interface CapabilityRequest {
  readonly privileged: boolean
  readonly capAdd: readonly string[]
  readonly capDrop: readonly string[]
}

/**
 * The capabilities of a process. As with Docker, `ALL` in `capAdd` wins over everything but single drops, and `ALL` in
 * `capDrop` leaves what `capAdd` names. Refuses unknown names and those that this host cannot give.
 */
export function planCapabilities(request: CapabilityRequest, available: readonly string[]): string[] {
  if (request.privileged) return [...available]
  const add = normalize(request.capAdd, available)
  const drop = normalize(request.capDrop, undefined)
  if (add.includes('ALL')) return available.filter((c) => !drop.includes(c))
  if (drop.includes('ALL')) return [...new Set(add)]
  const kept = DEFAULT_CAPABILITIES.filter((c) => available.includes(c) && !drop.includes(c))
  return [...new Set([...kept, ...add])]
}

/** `net_admin`, `NET_ADMIN` and `CAP_NET_ADMIN` are the same. */
function normalize(names: readonly string[], available: readonly string[] | undefined): string[] {
  return names.map((given) => {
    const upper = given.toUpperCase()
    if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL'
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
    if (!(CAPABILITIES as readonly string[]).includes(name)) throw invalid(`unknown capability: "${name}"`)
    if (available && !available.includes(name)) {
      throw invalid(`capability not supported by your kernel or not available in the current environment: "${name}"`)
    }
    return name
  })
}
