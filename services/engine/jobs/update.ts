import { isDeepStrictEqual } from 'node:util'
import { mergeResources, swapLimit } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import { conflict, GantryError, invalid, toGantryError } from '../../../shared/errors/index.ts'
import { parseRestartPolicy } from '../config/restart.ts'
import { checkBody } from '../config/body.ts'
import { checkUpdate } from '../config/options.ts'
import type { HostConfig, UpdateBody } from '../config/schema.ts'
import { isAlive } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { limitsAnything, resources } from '../plan/requests.ts'
import type { JobRecord } from './runner.ts'

/** Changes limits, live, and the restart policy; what is zero or absent stays as it is. */
export async function update(
  engine: Engine,
  ref: string,
  raw: Record<string, unknown>,
): Promise<{ warnings: string[] }> {
  const { id } = engine.containers.find(ref)
  const body = checkedBody(raw)
  return engine.locks.run(id, async () => {
    const { state, hostConfig } = engine.containers.find(id)
    const updated = await naming(id, () => {
      if (state.status === 'removing' || state.status === 'dead') {
        throw conflict('container is marked for removal and cannot be "update"')
      }
      return updatedHostConfig(hostConfig, body)
    })
    const change = changedLimits(hostConfig, updated)
    const limited = limitsAnything(resources(body)) || limitsAnything(change)
    // All limits together, as the next start will ask for them.
    const { warnings } = limited
      ? await engine.lower.cgroup['group.check']({ resources: resources(updated) })
      : { warnings: [] }
    return engine.jobs.run({ name: 'update', container: id, arguments: { body }, intent: true }, (job) =>
      naming(id, async () => {
        const { cgroup } = engine.lower
        if (isAlive(engine.containers.find(id)) && Object.keys(change).length > 0) {
          await job.step(
            'cgroup.group.update',
            () => cgroup['group.update']({ id, resources: change, change: job.record.id }),
            () => cgroup['group.revert']({ id, change: job.record.id }),
          )
        }
        job.commit(() => recordUpdate(engine, id, updated), { warnings })
        return { warnings }
      }),
    )
  })
}

/** Docker's words where it is not the request alone that is wrong. */
async function naming<T>(id: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { kind, message, details } = toGantryError(error)
    throw new GantryError(kind, `Cannot update container ${id}: ${message}`, {
      cause: error,
      ...(details === undefined ? {} : { details }),
    })
  }
}

function recordUpdate(engine: Engine, id: string, hostConfig: HostConfig): void {
  const container = { ...engine.containers.find(id), hostConfig }
  engine.containers.put(container)
  emitContainer(engine.store, container, 'update')
}

/** Limits that the update changes; one that it takes away (PidsLimit 0, an empty list) is among them. */
function changedLimits(old: HostConfig, updated: HostConfig): Resources {
  const before = resources(old)
  const changed = Object.entries(resources(updated)).filter(
    ([name, value]) => !isDeepStrictEqual(value, before[name as keyof Resources]),
  )
  return Object.fromEntries(changed)
}

/** @throws `invalid` for what an update cannot change, and for values that a create would be refused too. */
function checkedBody(raw: Record<string, unknown>): UpdateBody {
  const body = checkBody('update', raw)
  for (const field of ['CgroupParent', 'Devices', 'DeviceCgroupRules', 'DeviceRequests', 'Ulimits'] as const) {
    const value = body[field]
    if (value !== undefined && value.length > 0) {
      throw invalid(`${field} of a container cannot be updated: make a new one`, { details: { field } })
    }
  }
  checkUpdate(body)
  // Anything below 1 is "unlimited", which inspect shows as 0.
  return typeof body.PidsLimit === 'number' ? { ...body, PidsLimit: Math.max(body.PidsLimit, 0) } : body
}

function updatedHostConfig(old: HostConfig, body: UpdateBody): HostConfig {
  const limits = mergeResources(resources(old), resources(body))
  // The kernel gets twice the memory where no swap is named: inspect says so, as after a create.
  const merged = { ...limits, MemorySwap: swapLimit(limits) ?? 0 } as HostConfig
  const updated: HostConfig = { ...old, ...merged }
  if (!body.RestartPolicy?.Name) return updated
  if (old.AutoRemove && body.RestartPolicy.Name !== 'no') {
    throw conflict('Restart policy cannot be updated because AutoRemove is enabled for the container')
  }
  return { ...updated, RestartPolicy: parseRestartPolicy(body.RestartPolicy) }
}

/** The engine died meanwhile: nobody was told that it is done, so it is undone. Who asks again has it done anew. */
export async function recoverUpdate(engine: Engine, record: JobRecord): Promise<void> {
  await engine.lower.cgroup['group.revert']({ id: record.container, change: record.id })
  engine.jobs.close(record, 'failed', 'the engine ended meanwhile; the limits of before were put back')
}
