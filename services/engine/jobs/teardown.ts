import type { Engine } from '../engine.ts'
import type { RunningJob } from './runner.ts'

/**
 * Takes away what a run had: process record, network, cgroup, mount. Nothing is undone when one fails: the others go on, and
 * the service that failed is told what to keep when it is back.
 *
 * @returns what the cgroup service says in the end.
 */
export async function teardown(engine: Engine, job: RunningJob, id: string): Promise<{ oomKilled: boolean }> {
  const { storage, network, cgroup, exec } = engine.lower
  const group = job.step('cgroup.group.delete', () => cgroup['group.delete']({ id }))
  throwFirst(
    await Promise.allSettled([
      group,
      job.step('exec.process.delete', () => exec['process.delete']({ id })),
      job.step('network.sandbox.delete', () => network['sandbox.delete']({ id })),
      job.step('storage.rootfs.unmount', () => storage['rootfs.unmount']({ id })),
    ]),
  )
  return group
}

/** The same with all that the container has on disk. */
export async function demolish(engine: Engine, job: RunningJob, id: string, volumes: boolean): Promise<void> {
  const { storage, network, cgroup, exec } = engine.lower
  throwFirst(
    await Promise.allSettled([
      job.step('exec.process.purge', () => exec['process.purge']({ id })),
      job.step('network.sandbox.delete', () => network['sandbox.delete']({ id })),
      job.step('cgroup.group.delete', () => cgroup['group.delete']({ id })),
      job.step('storage.rootfs.remove', () => storage['rootfs.remove']({ id, volumes })),
    ]),
  )
}

function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  const failed = results.find((r) => r.status === 'rejected')
  if (failed) throw failed.reason
}
