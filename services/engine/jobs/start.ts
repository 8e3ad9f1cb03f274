import type { ProcessState } from '../../../shared/contracts/index.ts'
import { conflict, GantryError, isKind, notModified, toGantryError } from '../../../shared/errors/index.ts'
import { parseNetworkMode, parseShareMode } from '../config/modes.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import { newId, type Engine } from '../engine.ts'
import { checkLinks, withLinkVariables } from '../plan/links.ts'
import { cgroupParent, resources, sandboxRequest } from '../plan/requests.ts'
import { runRequest } from '../plan/run-request.ts'
import { exited } from './exit.ts'
import { removeHeld } from './remove.ts'
import { restartLater } from './restart.ts'
import { settled, type JobRecord } from './runner.ts'

/** Starts a container for a user. @throws `not-modified` when it runs. */
export async function start(engine: Engine, ref: string): Promise<void> {
  const { id } = engine.containers.find(ref)
  await engine.locks.run(id, async () => {
    checkStartable(engine.containers.find(id))
    engine.restarter.cancel(id)
    await startHeld(engine, id, { restartCount: 0, manuallyStopped: false })
  })
}

function checkStartable({ id, state }: Container): void {
  if (state.status === 'running') throw notModified(`container ${id} is already running`)
  if (state.status === 'paused') throw conflict('cannot start a paused container, try unpause instead')
  refuseRemoved({ state })
}

/** @throws `conflict` for one whose removal has begun: parts of it may be gone, so that it can only be removed. */
export function refuseRemoved({ state }: Pick<Container, 'state'>): void {
  if (state.status === 'removing' || state.status === 'dead') {
    throw conflict('container is marked for removal and cannot be started')
  }
}

/**
 * The start itself; the caller holds the container's lock. When it fails, everything is undone, the container says why, and
 * with AutoRemove it goes.
 */
export async function startHeld(
  engine: Engine,
  id: string,
  change: { restartCount?: number; manuallyStopped?: boolean },
): Promise<void> {
  await engine.gate.passed()
  const { storage, network, cgroup, exec } = engine.lower
  const container = engine.containers.find(id)
  const instance = newId()
  try {
    await engine.jobs.run(
      { name: 'start', container: id, arguments: { instance }, intent: true },
      async (job) => {
        const joined = joinedContainers(engine, container)
        checkLinks(engine.containers, container)
        const [rootfs, sandbox, group] = await settled([
          job.step(
            'storage.rootfs.mount',
            () => storage['rootfs.mount']({ id }),
            () => storage['rootfs.unmount']({ id }),
          ),
          job.step(
            'network.sandbox.create',
            () => network['sandbox.create'](sandboxRequest(container, joined.network)),
            () => network['sandbox.delete']({ id }),
          ),
          job.step(
            'cgroup.group.create',
            () =>
              cgroup['group.create']({
                id,
                parent: cgroupParent(container.hostConfig),
                resources: resources(container.hostConfig),
                instance,
                labels: container.config.Labels ?? {},
              }),
            () => cgroup['group.delete']({ id }),
          ),
        ])
        const request = runRequest(withLinkVariables(engine.containers, container), {
          instance,
          rootfs: rootfs.path,
          mounts: [...rootfs.mounts, ...sandbox.mounts],
          netns: sandbox.netns,
          cgroupsPath: group.cgroupsPath,
          systemdCgroup: group.systemd,
          cgroupResources: group.resources,
          ...joined,
        })
        const process = await job.step(
          'exec.process.run',
          () => exec['process.run'](request).catch(throwStartError),
          () => exec['process.delete']({ id }),
        )
        job.commit(() => {
          const started = engine.containers.setState(id, {
            ...change,
            status: 'running',
            instance,
            pid: process.pid,
            startedAt: process.startedAt,
            logPath: process.logPath,
            shmPath: process.shmPath,
            sandbox,
            exitCode: 0,
            error: '',
            oomKilled: false,
            oomKills: 0,
            health: engine.health.initial(container),
          })
          emitContainer(engine.store, started, 'start')
        })
      },
      (error) => recordFailure(engine, id, error),
    )
  } catch (error) {
    const now = engine.containers.get(id)
    if (now?.hostConfig.AutoRemove && !isAlive(now))
      await removeHeld(engine, id, { volumes: true }).catch(() => undefined)
    restartLater(engine, id)
    throw error
  }
  engine.health.watch(engine, id)
}

/** What a failed start leaves: state and exit code as Docker has them (127: no such command, 126: not executable). */
function recordFailure(engine: Engine, id: string, error: unknown): void {
  const { status } = engine.containers.find(id).state
  // A service was not there: that says nothing about the container, which goes on waiting for its restart.
  if (status === 'restarting' && isKind(error, 'unavailable')) return
  engine.containers.setState(id, {
    status: status === 'created' || status === 'dead' ? status : 'exited',
    exitCode: exitCodeOf(error),
    error: toGantryError(error).message,
  })
}

const exitCodeOf = (error: unknown): number => {
  const code = error instanceof GantryError ? error.details?.['exitCode'] : undefined
  return typeof code === 'number' ? code : 128
}

/** A command that is not there is the user's mistake, not the engine's. */
function throwStartError(error: unknown): never {
  const e = toGantryError(error)
  const code = exitCodeOf(e)
  throw e.kind === 'internal' && (code === 126 || code === 127)
    ? new GantryError('invalid', e.message, { cause: e, details: { exitCode: code } })
    : e
}

/** The containers whose namespaces this one joins; each must be running. @throws `conflict` in Docker's words. */
function joinedContainers(engine: Engine, { hostConfig }: Container) {
  const running = (ref: string, what: string): Container => {
    const target = engine.containers.find(ref)
    if (target.state.status === 'running') return target
    throw conflict(`cannot join ${what} of a non running container: ${target.id}`)
  }
  const network = parseNetworkMode(hostConfig.NetworkMode ?? '')
  const pid = parseShareMode('PidMode', hostConfig.PidMode ?? '')
  const ipc = parseShareMode('IpcMode', hostConfig.IpcMode ?? '')
  const joined = {
    network: network.kind === 'container' ? running(network.target, 'network') : undefined,
    pid: pid.kind === 'container' ? running(pid.target, 'PID') : undefined,
    ipc: ipc.kind === 'container' ? running(ipc.target, 'IPC') : undefined,
  }
  if (joined.ipc && joined.ipc.hostConfig.IpcMode !== 'shareable') {
    throw conflict(
      `cannot join IPC of container ${joined.ipc.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    )
  }
  return joined
}

/** The engine died while it started this container: if its process came to life, the start is finished, else undone. */
export async function recoverStart(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  const { storage, network, cgroup, exec } = engine.lower
  const instance = String(record.arguments['instance'])
  const process = await exec['process.state']({ id }).catch((error: unknown) => {
    if (isKind(error, 'not-found')) return undefined
    throw error
  })
  const container = engine.containers.get(id)
  if (container && process?.instance === instance && process.status !== 'creating') {
    const sandbox = process.status === 'running' ? await network['sandbox.inspect']({ id }) : undefined
    engine.jobs.close(record, 'done', '', () => {
      const { pid, startedAt, shmPath } = process
      const change = { status: 'running', instance, pid, startedAt, shmPath, sandbox, exitCode: 0, error: '' } as const
      const health = engine.health.initial(container)
      const started = engine.containers.setState(id, {
        ...change,
        oomKilled: false,
        oomKills: 0,
        manuallyStopped: false,
        health,
      })
      emitContainer(engine.store, started, 'start')
    })
    if (process.status === 'running') engine.health.watch(engine, id)
    else endLater(engine, process)
    return
  }
  await settled([
    exec['process.delete']({ id }),
    network['sandbox.delete']({ id }),
    cgroup['group.delete']({ id }),
    storage['rootfs.unmount']({ id }),
  ])
  const reason = 'the engine was restarted while it ran; undone'
  engine.jobs.close(record, 'failed', reason, () => {
    if (container && !isAlive(container)) engine.containers.setState(id, { error: reason })
  })
}

/** A process that had ended by the time its start was recovered: its end is recorded once the lock is free. */
function endLater(engine: Engine, { id, instance, exitCode, finishedAt }: ProcessState): void {
  const exit = { id, instance, exitCode: exitCode ?? 255, finishedAt: finishedAt ?? new Date().toISOString() }
  exited(engine, exit).catch((error: unknown) => engine.log.error({ err: error, container: id }, 'exit not recorded'))
}
