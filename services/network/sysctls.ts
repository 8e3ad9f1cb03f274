import { invalid } from '../../shared/errors/index.ts'
import { writeSysctl } from '../../shared/kernel/sysctl.ts'

/** As Docker sets them in a namespace of a container's own: low ports and ping need no privilege there. */
const DEFAULTS: Readonly<Record<string, string>> = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
}

/** `net.ipv4.conf.eth0.forwarding`: there only when the interface is. */
const OF_INTERFACE = /^net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.(?!all\.|default\.|lo\.)/

/** Kernel parameters of a new namespace, before it has interfaces, and after. */
export function planSysctls(wanted: Readonly<Record<string, string>>): {
  before: [string, string][]
  after: [string, string][]
} {
  const all = Object.entries({ ...DEFAULTS, ...wanted })
  return {
    before: all.filter(([name]) => !OF_INTERFACE.test(name)),
    after: all.filter(([name]) => OF_INTERFACE.test(name)),
  }
}

/** Sets parameters of the calling thread's namespace; `invalid` names the one that the kernel refuses. */
export function applySysctls(sysctls: readonly [string, string][]): void {
  for (const [name, value] of sysctls) {
    if (!/^net[./]/.test(name)) throw invalid(`sysctl "${name}" is not of the network namespace`)
    try {
      writeSysctl(name, value)
    } catch (error) {
      throw invalid(`cannot set sysctl ${name}=${value}: ${(error as Error).message}`, { cause: error })
    }
  }
}
