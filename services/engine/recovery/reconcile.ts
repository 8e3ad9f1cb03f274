import type { ProcessState } from '../../../shared/contracts/index.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { isAlive, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { adoptExec, refreshExec } from '../execs/sessions.ts'
import { exited } from '../jobs/exit.ts'
import { removeHeld } from '../jobs/remove.ts'
import { restartLater } from '../jobs/restart.ts'
import { LOWER_SERVICES, type LowerService } from '../lower.ts'

/** New work waits no longer than this for a service that is told what to keep. */
const GATE_MS = 10_000
/** Docker's exit code of a container whose end nobody saw. */
const UNKNOWN_EXIT = 255

/**
 * A lower service (re)started, or this engine did: both sides are compared. The service removes what no container owns; of
 * processes, ends that happened meanwhile are recorded.
 */
export async function reconcile(engine: Engine, service: LowerService): Promise<void> {
  const { storage, network, cgroup, exec } = engine.lower
  if (service === 'exec' || service === 'cgroup') engine.facilities.forget()
  const { pid } = await engine.lower[service].health({})
  engine.lower.seen(service, pid)
  const { removed } = await engine.gate.while(async () => {
    switch (service) {
      case 'storage':
        return storage['rootfs.reconcile']({ keep: everyContainer(engine) }, { timeoutMs: GATE_MS })
      case 'network':
        return network['sandbox.reconcile']({ keep: withSurroundings(engine) }, { timeoutMs: GATE_MS })
      case 'cgroup':
        return cgroup['group.reconcile']({ keep: withSurroundings(engine) }, { timeoutMs: GATE_MS })
      case 'exec':
        // Logs outlive runs: what a container has on disk stays as long as the container.
        return exec['process.reconcile']({ keep: everyContainer(engine) }, { timeoutMs: GATE_MS })
    }
  })
  if (removed.length > 0) engine.log.info({ service, removed }, 'leftovers removed')
  if (service === 'exec') await reconcileProcesses(engine)
  removeDead(engine)
}

/** Containers that were to go by themselves, but a service was away: it may be back. */
function removeDead(engine: Engine): void {
  const isLeft = (c: Container | undefined) => c?.state.status === 'dead' && c.hostConfig.AutoRemove === true
  for (const { id } of engine.containers.all().filter(isLeft)) {
    engine.locks
      .run(id, async () => {
        if (isLeft(engine.containers.get(id))) await removeHeld(engine, id, { volumes: true })
      })
      .catch((error: unknown) => engine.log.warn({ err: error, container: id }, 'could not be removed yet'))
  }
}

/** Compares with all services, each on its own; one that is down is compared with when it tells that it is ready. */
export async function reconcileAll(engine: Engine): Promise<void> {
  await Promise.all(
    LOWER_SERVICES.map((service) =>
      reconcile(engine, service).catch((error: unknown) =>
        engine.log.warn({ err: error, service }, 'not reconciled yet; it is tried again when the service is ready'),
      ),
    ),
  )
}

/** Ids that are worked on; a prune that goes on has a lock without one. */
const busyIds = (engine: Engine): string[] => engine.locks.busy().filter((id) => /^[a-f0-9]{64}$/.test(id))

/** All containers, and those that a job is making. */
const everyContainer = (engine: Engine): string[] => [
  ...new Set([...engine.containers.all().map((c) => c.id), ...busyIds(engine)]),
]

/** Containers that have a network and a cgroup: those that run, those that something is done with, and shared networks. */
function withSurroundings(engine: Engine): string[] {
  const keep = new Set(busyIds(engine))
  for (const container of engine.containers.all().filter(isAlive)) {
    keep.add(container.id)
    const mode = parseNetworkMode(container.hostConfig.NetworkMode ?? '')
    if (mode.kind === 'container') keep.add(mode.target)
  }
  return [...keep]
}

async function reconcileProcesses(engine: Engine): Promise<void> {
  // Only runs that were there before the question: a newer one may be missing in the answer.
  const believed = engine.containers.all().filter(isAlive)
  const busy = new Set(engine.locks.busy())
  const list = await engine.lower.exec['process.list']({})
  const byId = new Map(list.map((p) => [p.id, p]))
  await Promise.all([
    ...believed.map((c) => compare(engine, c.id, c.state.instance, byId.get(c.id))),
    ...list.filter((p) => !busy.has(p.id)).map((p) => endUnowned(engine, p)),
    ...engine.execs.with('running').map((e) => refreshExec(engine, e.id)),
    ...engine.execs.with('created').map((e) => adoptExec(engine, e.id)),
  ])
}

async function compare(engine: Engine, id: string, instance: string, process: ProcessState | undefined): Promise<void> {
  const finishedAt = new Date().toISOString()
  if (process?.instance !== instance) return exited(engine, { id, instance, exitCode: UNKNOWN_EXIT, finishedAt })
  if (process.status === 'exited') {
    const { exitCode = UNKNOWN_EXIT, finishedAt: end = finishedAt } = process
    return exited(engine, { id, instance, exitCode, finishedAt: end })
  }
  const container = engine.containers.get(id)
  if (container?.state.instance === instance && container.state.pid !== process.pid && process.pid > 0) {
    engine.store.transaction(() => engine.containers.setState(id, { pid: process.pid }))
  }
}

/** A process of a container that does not run, as far as its record says: a leftover of an interrupted start. */
async function endUnowned(engine: Engine, process: ProcessState): Promise<void> {
  await engine.locks.run(process.id, async () => {
    const container = engine.containers.get(process.id)
    if (container && !isAlive(container)) await engine.lower.exec['process.delete']({ id: process.id })
  })
}

/**
 * What was under way in an earlier process's memory only: waits for restarts, health checks. Each goes on when its container is not being
 * recovered any more.
 */
export function resume(engine: Engine): void {
  for (const { id } of engine.containers.all()) {
    engine.locks
      .run(id, async () => {
        restartLater(engine, id)
        engine.health.watch(engine, id)
      })
      .catch((error: unknown) =>
        engine.log.error({ err: error, container: id }, 'restarts and health checks do not go on'),
      )
  }
}
