import { readFileSync } from 'node:fs'
import { isCode } from '../kernel/libc.ts'

/** The cgroup path in an OCI config.json; '' when it has none. */
export function configuredGroup(config: string): string {
  const { linux } = JSON.parse(config) as { linux?: { cgroupsPath?: string } }
  return linux?.cgroupsPath ?? ''
}

/** The cgroup that a process is a member of in the v2 hierarchy (cgroups(7), /proc/pid/cgroup); '' when there is none, or no process. */
export function joinedV2Group(pid: number, proc = '/proc'): string {
  try {
    return /^0::(\/.+)$/m.exec(readFileSync(`${proc}/${pid}/cgroup`, 'utf8'))?.[1] ?? ''
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ESRCH')) return ''
    throw error
  }
}
