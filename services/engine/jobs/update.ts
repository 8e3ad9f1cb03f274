import { mergeResources } from '../../../shared/cgroup/index.ts'
import type { Resources } from '../../../shared/contracts/index.ts'
import { conflict, invalid } from '../../../shared/errors/index.ts'
import { parseRestartPolicy } from '../config/restart.ts'
import { checkBody } from '../config/body.ts'
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
  const body = checkBody('update', raw)
  return engine.locks.run(id, async () => {
    const { state, hostConfig } = engine.containers.find(id)
    if (state.status === 'removing' || state.status === 'dead') {
      throw conflict('Container is marked for removal and cannot be "update".')
    }
    const updated = updatedHostConfig(hostConfig, body)
    const { warnings } = await engine.lower.cgroup['group.check']({ resources: resources(updated), update: true })
    await engine.jobs.run({ name: 'update', container: id, arguments: { body }, intent: true }, async (job) => {
      const { cgroup } = engine.lower
      if (isAlive(engine.containers.find(id)) && limitsAnything(resources(body))) {
        await job.step(
          'cgroup.group.update',
          () => cgroup['group.update']({ id, resources: resources(body) }),
          () => cgroup['group.update']({ id, resources: resources(hostConfig) }),
        )
      }
      job.commit(() => recordUpdate(engine, id, updated))
    })
    return { warnings }
  })
}

function recordUpdate(engine: Engine, id: string, hostConfig: HostConfig): void {
  const container = { ...engine.containers.find(id), hostConfig }
  engine.containers.put(container)
  emitContainer(engine.store, container, 'update')
}

function updatedHostConfig(old: HostConfig, body: UpdateBody): HostConfig {
  for (const field of ['CgroupParent', 'Devices', 'DeviceCgroupRules', 'DeviceRequests', 'Ulimits'] as const) {
    const value = body[field]
    if (value !== undefined && value.length > 0) {
      throw invalid(`${field} of a container cannot be updated: make a new one`, { details: { field } })
    }
  }
  const merged = mergeResources(resources(old), resources(body)) as HostConfig
  const swap = merged.MemorySwap ?? 0
  if (body.Memory && !body.MemorySwap && swap > 0 && body.Memory > swap) {
    throw conflict(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    )
  }
  const updated: HostConfig = { ...old, ...merged }
  if (!body.RestartPolicy?.Name) return updated
  if (old.AutoRemove && body.RestartPolicy.Name !== 'no') {
    throw conflict('Restart policy cannot be updated because AutoRemove is enabled for the container')
  }
  return { ...updated, RestartPolicy: parseRestartPolicy(body.RestartPolicy) }
}

/** The engine died meanwhile: the update is finished, since a limit that was not set before cannot be asked for. */
export async function recoverUpdate(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const container = engine.containers.get(id)
  const body = checkBody('update', record.arguments['body'] as Record<string, unknown>)
  const limits: Resources = resources(body)
  if (container && isAlive(container) && limitsAnything(limits)) {
    await engine.lower.cgroup['group.update']({ id, resources: limits })
  }
  engine.jobs.close(record, 'done', '', () => {
    if (container) recordUpdate(engine, id, updatedHostConfig(container.hostConfig, body))
  })
}
