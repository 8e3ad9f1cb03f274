import { basename, dirname, posix } from 'node:path'
import { invalid } from '../../../shared/errors/index.ts'

/*
 * Names of systemd units and where their groups are. A dash in a slice's name is a level: `a-b.slice` is at
 * `/a.slice/a-b.slice` (systemd.slice(5)).
 */

/** The engine's own slice, from its parent group: `/gantry` -> `gantry.slice`. */
export function ownSlice(parent: string): string {
  const name = parent
    .split('/')
    .filter((part) => part !== '')
    .join('-')
  return name.endsWith('.slice') ? name : `${name}.slice`
}

/** Refuses what is no slice, in Docker's words. */
export function checkSlice(name: string): string {
  const valid = /^[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice$/.test(name) && name.length <= 255
  if (!valid) {
    throw invalid(
      `invalid cgroup-parent "${name}": cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`,
    )
  }
  return name
}

/** `a-b.slice` -> `/a.slice/a-b.slice` */
export function slicePath(slice: string): string {
  const levels = slice.slice(0, -'.slice'.length).split('-')
  return posix.join('/', ...levels.map((_, i) => `${levels.slice(0, i + 1).join('-')}.slice`))
}

/** The slice and all above it, outermost first. */
export const slicesTo = (slice: string): string[] => slicePath(slice).split('/').slice(1)

/** The container's scope; `prefix` is the engine. */
export const scopePath = (slice: string, prefix: string, id: string): string =>
  posix.join(slicePath(slice), `${prefix}-${id}.scope`)

/** Unit and slice of a group's path. */
export const unitsOf = (path: string): { scope: string; slice: string } => ({
  scope: basename(path),
  slice: basename(dirname(path)),
})

/** What OCI runtimes take for linux.cgroupsPath with systemd: `slice:prefix:name`, which makes `prefix-name.scope`. */
export function runtimeName(path: string, prefix: string): string {
  const { scope, slice } = unitsOf(path)
  return `${slice}:${prefix}:${scope.slice(prefix.length + 1, -'.scope'.length)}`
}
