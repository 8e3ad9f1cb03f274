import { existsSync } from 'node:fs'
import { invalid } from '../../../shared/errors/index.ts'

/** capabilities(7) */
const CAPABILITIES = new Set(
  (
    'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
    'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
    'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
    'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
  )
    .split(' ')
    .map((name) => `CAP_${name}`),
)

/** `net_admin`, `CAP_NET_ADMIN`, `all` as `CAP_NET_ADMIN`, `ALL`. @throws `invalid` naming option and capability. */
export function capabilities(option: 'CapAdd' | 'CapDrop', names: readonly string[]): string[] {
  return names.map((given) => {
    const upper = given.toUpperCase()
    if (upper === 'ALL') return upper
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
    if (!CAPABILITIES.has(name)) throw invalid(`invalid ${option}: unknown capability: "${given}"`)
    return name
  })
}

export interface SecurityOptions {
  /** `default`, `unconfined`, or a profile's JSON. */
  seccomp: string
  noNewPrivileges: boolean
}

/**
 * HostConfig.SecurityOpt. AppArmor and SELinux labels are accepted only where they change nothing.
 * @throws `invalid` naming the option.
 */
export function securityOptions(options: readonly string[]): SecurityOptions {
  const result: SecurityOptions = { seccomp: 'default', noNewPrivileges: false }
  for (const option of options) {
    const at = option.search(/[=:]/)
    const key = at < 0 ? option : option.slice(0, at)
    const value = at < 0 ? '' : option.slice(at + 1)
    switch (key) {
      case 'no-new-privileges':
        if (!['', 'true', 'false'].includes(value)) throw invalid(`invalid --security-opt: "${option}"`)
        result.noNewPrivileges = value !== 'false'
        break
      case 'seccomp':
        result.seccomp = seccompProfile(value)
        break
      case 'apparmor':
        if (value !== 'unconfined' && !(value === 'docker-default' && !existsSync('/sys/kernel/security/apparmor'))) {
          throw invalid(
            `invalid --security-opt: "${option}": AppArmor profiles are not supported: use apparmor=unconfined`,
          )
        }
        break
      case 'label':
        if (value !== 'disable') {
          throw invalid(`invalid --security-opt: "${option}": SELinux labels are not supported: use label=disable`)
        }
        break
      default:
        throw invalid(`invalid --security-opt: "${option}"`)
    }
  }
  return result
}

function seccompProfile(value: string): string {
  if (value === 'unconfined') return value
  if (value === 'builtin' || value === 'default') return 'default'
  try {
    const profile: unknown = JSON.parse(value)
    if (typeof profile === 'object' && profile !== null && !Array.isArray(profile)) return value
  } catch {
    // Said below.
  }
  throw invalid('invalid --security-opt: "seccomp": want `unconfined`, `builtin` or a profile in JSON')
}
