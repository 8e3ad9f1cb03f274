import { invalid } from '../../../shared/errors/index.ts'
import type { HostConfig } from './schema.ts'
import { parseNetworkMode, parseShareMode } from './modes.ts'

const ULIMITS = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
)

/** HostConfig.Ulimits as getrlimit(2) names them; -1 is "no limit". @throws `invalid` naming the limit. */
export function rlimits(list: NonNullable<HostConfig['Ulimits']>): { type: string; soft: number; hard: number }[] {
  return list.map(({ Name, Soft, Hard }) => {
    const name = Name.toLowerCase()
    if (!ULIMITS.has(name)) throw invalid(`invalid ulimit type: ${Name}`)
    if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
      throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`)
    }
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: Soft, hard: Hard }
  })
}

const IPC_SYSCTL =
  /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced|auto_msgmni)|fs\.mqueue\.[a-z_]+)$/
const UTS_SYSCTL = /^kernel\.(domainname|hostname)$/

/**
 * HostConfig.Sysctls by who sets them: `net.*` belongs to the network namespace, the others to the process's.
 * @throws `invalid` for one that has no namespace of its own here.
 */
export function sysctls(hostConfig: HostConfig): { network: Record<string, string>; process: Record<string, string> } {
  const network: Record<string, string> = {}
  const process: Record<string, string> = {}
  const refuse = (name: string, why: string) =>
    invalid(`sysctl "${name}" is not allowed: ${why}`, { details: { field: 'HostConfig.Sysctls' } })
  const netMode = parseNetworkMode(hostConfig.NetworkMode ?? '').kind
  const ipc = parseShareMode('IpcMode', hostConfig.IpcMode ?? '').kind
  const uts = parseShareMode('UTSMode', hostConfig.UTSMode ?? '').kind
  for (const [given, value] of Object.entries(hostConfig.Sysctls ?? {})) {
    const name = given.replaceAll('/', '.')
    if (name.startsWith('net.')) {
      if (netMode === 'host') throw refuse(given, 'the container is in the host network namespace')
      if (netMode === 'container') throw refuse(given, 'the container joins the network of another one')
      network[name] = value
    } else if (IPC_SYSCTL.test(name)) {
      if (ipc === 'host') throw refuse(given, 'the container is in the host IPC namespace')
      process[name] = value
    } else if (UTS_SYSCTL.test(name)) {
      if (uts === 'host') throw refuse(given, 'the container is in the host UTS namespace')
      process[name] = value
    } else {
      throw refuse(given, 'it is not namespaced (net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm* are)')
    }
  }
  return { network, process }
}

/** @throws `invalid` naming what is wrong with one of HostConfig.Devices. */
export function devices(list: NonNullable<HostConfig['Devices']>) {
  return list.map((d) => {
    const pathOnHost = d.PathOnHost ?? ''
    const permissions = d.CgroupPermissions || 'rwm'
    if (!pathOnHost.startsWith('/'))
      throw invalid(`invalid device path: "${pathOnHost}": want an absolute path on the host`)
    if (!/^[rwm]{1,3}$/.test(permissions)) {
      throw invalid(`invalid device mode of ${pathOnHost}: "${permissions}": want letters of "rwm"`)
    }
    return { pathOnHost, pathInContainer: d.PathInContainer || pathOnHost, permissions }
  })
}

export function deviceCgroupRules(rules: readonly string[]): string[] {
  for (const rule of rules) {
    if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(rule))
      throw invalid(`invalid device cgroup rule format: '${rule}'`)
  }
  return [...rules]
}
