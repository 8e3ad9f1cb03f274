import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, type RuntimeCall } from '../../../shared/oci/probe.ts'

/** Where crun looks for the v2 hierarchy of a hybrid host (libcrun cgroup.c: libcrun_get_cgroup_mode). */
const V2_MOUNTPOINT = '/sys/fs/cgroup/unified'

/**
 * How to call crun on a host in hybrid cgroup mode, which it refuses when the v2 hierarchy has a controller: in a mount namespace of its
 * own, without that hierarchy; crun joins the v1 hierarchies, and the group of the v2 hierarchy is joined before. Undefined on any
 * other host.
 */
export function withoutV2(crun: string, mountpoint = V2_MOUNTPOINT): RuntimeCall | undefined {
  const perl = findProgram('perl')
  if (perl === undefined || !existsSync(join(mountpoint, 'cgroup.controllers'))) return undefined
  const script = join(import.meta.dirname, 'hide-v2.pl')
  return (group) => [perl, script, process.arch, mountpoint, group, crun]
}
