import { invalid } from '../../../shared/errors/index.ts'
import type { MountEntry } from '../../../shared/kernel/mounts.ts'

/** The mount that `path` lies on: the last one whose target is a parent. */
export function mountOf(table: readonly MountEntry[], path: string): MountEntry | undefined {
  const covers = (target: string): boolean => target === '/' || path === target || path.startsWith(`${target}/`)
  return table.reduce<MountEntry | undefined>(
    (best, entry) => (covers(entry.target) && entry.target.length >= (best?.target.length ?? 0) ? entry : best),
    undefined,
  )
}

/** A bind can only be shared (or a slave) when what it comes from is; `invalid` in Docker's words. */
export function checkPropagation(table: readonly MountEntry[], source: string, propagation: string): void {
  const mount = mountOf(table, source)
  const shared = mount?.propagation.some((tag) => tag.startsWith('shared:')) ?? false
  const slave = mount?.propagation.some((tag) => tag.startsWith('master:')) ?? false
  const on = `path ${source} is mounted on ${mount?.target ?? '/'} but it is not a`
  if (propagation.endsWith('shared') && !shared) throw invalid(`${on} shared mount`)
  if (propagation.endsWith('slave') && !shared && !slave) throw invalid(`${on} shared or slave mount`)
}
