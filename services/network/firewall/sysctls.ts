import { readFileSync } from 'node:fs'
import { readSysctl, writeSysctl } from '../../../shared/kernel/sysctl.ts'
import type { Family } from './types.ts'

/** Kernel parameters without which the rules do nothing: Documentation/networking/ip-sysctl.rst. Of the calling namespace. */

const FORWARDING = { ipv4: 'net.ipv4.ip_forward', ipv6: 'net.ipv6.conf.all.forwarding' } as const

/** Whether this host forwards between its interfaces. */
export const forwards = (family: Family): boolean => readSysctl(FORWARDING[family]) !== '0'

/** Makes it; returns the parameters that were changed. */
export function enableForwarding(family: Family): string[] {
  const changed: string[] = []
  const set = (name: string, value: string): void => {
    writeSysctl(name, value)
    changed.push(name)
  }
  // A forwarding host ignores router advertisements, and would lose its own default route, unless accept_ra is 2.
  for (const device of family === 'ipv6' ? advertisedDevices() : []) {
    const name = `net/ipv6/conf/${device}/accept_ra`
    if (readSysctl(name) === '1') set(name, '2')
  }
  set(FORWARDING[family], '1')
  return changed
}

/** RTF_ADDRCONF, include/uapi/linux/ipv6_route.h: the route came from a router advertisement. */
const LEARNED = 0x00040000

/** Interfaces with routes learned from router advertisements. */
function advertisedDevices(): Set<string> {
  const routes = readFileSync('/proc/net/ipv6_route', 'utf8').trimEnd().split('\n')
  const learned = routes
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => (Number.parseInt(columns[8] ?? '0', 16) & LEARNED) !== 0)
  return new Set(learned.flatMap((columns) => columns[9] ?? []))
}

/** Lets 127.0.0.1 of this host be a sender on the bridge, so that published ports answer on loopback without a proxy process. */
export function routeLoopback(bridge: string): void {
  writeSysctl(`net/ipv4/conf/${bridge}/route_localnet`, '1', true)
}
