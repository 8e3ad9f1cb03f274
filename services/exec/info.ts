import { existsSync, readFileSync } from 'node:fs'
import type { BundleBuilder } from './bundle.ts'
import type { ExecDrivers } from './drivers.ts'

export interface ExecInfo {
  defaultRuntime: string
  runtimes: Record<string, { path: string; version: string }>
  logDrivers: string[]
  defaultLogDriver: string
  securityOptions: string[]
  initBinary: string
}

/** What /info shows of this service. */
export function info(drivers: ExecDrivers, bundles: BundleBuilder): ExecInfo {
  return {
    defaultRuntime: drivers.exec.defaultName ?? '',
    runtimes: Object.fromEntries(drivers.exec.usable().map((d) => [d.manifest.name, { ...d.runtime }])),
    logDrivers: drivers.logs.usable().map((d) => d.manifest.name),
    defaultLogDriver: drivers.logs.defaultName ?? '',
    securityOptions: securityOptions(bundles.hasDefaultSeccomp),
    initBinary: bundles.initPath,
  }
}

function securityOptions(seccomp: boolean): string[] {
  const options: string[] = []
  if (appArmorEnabled()) options.push('name=apparmor')
  if (seccomp && existsSync('/proc/sys/kernel/seccomp')) options.push('name=seccomp,profile=default')
  if (existsSync('/proc/self/ns/cgroup')) options.push('name=cgroupns')
  return options
}

function appArmorEnabled(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y')
  } catch {
    return false
  }
}
