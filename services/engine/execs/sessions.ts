import type { FactOf, Received, StreamRef } from '../../../shared/contracts/index.ts'
import { conflict, GantryError, invalid, isKind } from '../../../shared/errors/index.ts'
import { parseDetachKeys } from '../../../shared/tty/detach-keys.ts'
import { checkBody } from '../config/body.ts'
import type { ExecConfig } from '../config/schema.ts'
import type { Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { withLinkVariables } from '../plan/links.ts'
import { execProcess } from '../plan/run-request.ts'
import type { Exec } from './registry.ts'

/** A running container. @throws `conflict` in Docker's words. */
export function findRunning(engine: Engine, ref: string, what: string): Container {
  const container = engine.containers.find(ref)
  const { status } = container.state
  if (status === 'paused') throw conflict(`Container ${ref} is paused, unpause the container before ${what}`)
  if (status === 'restarting') throw conflict(`Container ${ref} is restarting, wait until the container is running`)
  if (status !== 'running') throw conflict(`Container ${container.id} is not running`)
  return container
}

/** Records a process to run later. Repeating it with the same id returns that. */
export async function createExec(
  engine: Engine,
  { id, ref, body }: { id: string; ref: string; body: Record<string, unknown> },
): Promise<{ id: string }> {
  if (engine.execs.get(id)) return { id }
  const container = findRunning(engine, ref, 'exec')
  const config = checkBody('exec', body)
  checkExec(config)
  const exec: Exec = { id, container: container.id, config, status: 'created', pid: 0, exitCode: null, finished: null }
  engine.store.transaction(() => {
    engine.execs.put(exec)
    tell(engine, exec, `exec_create: ${config.Cmd?.join(' ')}`)
  })
  return { id }
}

function checkExec(config: ExecConfig): void {
  if (!config.Cmd?.length) throw invalid('No exec command specified')
  if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
    throw invalid(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`)
  }
  parseDetachKeys(config.DetachKeys ?? '')
  for (const entry of config.Env ?? []) {
    if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`)
  }
}

interface StartRequest {
  readonly id: string
  readonly detach: boolean
  readonly consoleSize?: number[]
}

/** Runs it, once. */
export function startExec(engine: Engine, request: StartRequest): Promise<{ tty: boolean; stream?: StreamRef }> {
  const { id, detach } = request
  // Its end waits for this, however soon it comes.
  return engine.locks.run(id, async () => {
    const exec = engine.execs.find(id)
    const { adopted = false } = exec
    if (exec.status !== 'created' && !adopted) throw conflict(`Error: Exec command ${id} has already run`)
    const container = adopted ? engine.containers.find(exec.container) : findRunning(engine, exec.container, 'exec')
    const { config } = exec
    const tty = config.Tty ?? false
    return engine.jobs.run(
      { name: 'exec', container: container.id, arguments: { exec: id, command: config.Cmd } },
      async (job) => {
        const started = await job.step('exec.session.start', () =>
          engine.lower.exec['session.start']({
            id,
            container: container.id,
            process: execProcess(withLinkVariables(engine.containers, container), config, {
              tty,
              consoleSize: request.consoleSize,
            }),
            stdin: !detach && (config.AttachStdin ?? false),
            stdout: !detach && (config.AttachStdout ?? false),
            stderr: !detach && (config.AttachStderr ?? false),
            detach,
            detachKeys: config.DetachKeys ?? '',
          }),
        )
        const reply = { tty, ...(started.stream ? { stream: started.stream } : {}) }
        job.commit(() => recordStart(engine, exec, { pid: started.pid, adopted: false }), reply)
        return reply
      },
      (error) => engine.execs.put({ ...exec, status: 'ended', exitCode: failureCode(error), finished: Date.now() }),
    )
  })
}

function recordStart(engine: Engine, exec: Exec, how: { readonly pid: number; readonly adopted: boolean }): void {
  if (exec.adopted) return engine.execs.put({ ...exec, adopted: false })
  engine.execs.put({ ...exec, status: 'running', ...how })
  tell(engine, exec, `exec_start: ${exec.config.Cmd?.join(' ')}`)
}

/** One that an engine started, and died before it had recorded that. */
export async function adoptExec(engine: Engine, id: string): Promise<void> {
  const adopted = await engine.locks.run(id, async () => {
    const exec = engine.execs.get(id)
    if (exec?.status !== 'created') return false
    const state = await engine.lower.exec['session.state']({ id }).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined
      throw error
    })
    if (state) engine.store.transaction(() => recordStart(engine, exec, { pid: state.pid, adopted: true }))
    return state !== undefined
  })
  if (adopted) await refreshExec(engine, id)
}

/** Another stream to one that was started attached, for a client whose stream broke and who has the first bytes of the output. */
export async function attachExec(
  engine: Engine,
  id: string,
  has: Received,
): Promise<{ tty: boolean; stream: StreamRef }> {
  const { config, status } = engine.execs.find(id)
  if (status === 'created') throw conflict(`Exec ${id} has not been started`)
  const tty = config.Tty ?? false
  const { stream } = await engine.lower.exec['session.attach']({
    id,
    tty,
    stdin: config.AttachStdin ?? false,
    stdout: config.AttachStdout ?? false,
    stderr: config.AttachStderr ?? false,
    detachKeys: config.DetachKeys ?? '',
    has,
  })
  return { tty, stream }
}

const failureCode = (error: unknown): number => {
  const code = error instanceof GantryError ? error.details?.['exitCode'] : undefined
  return typeof code === 'number' ? code : 126
}

/** An exec session is over. */
export async function execEnded(engine: Engine, fact: FactOf<'exec.session.exited'>): Promise<void> {
  if (engine.health.probeEnded(fact.id, fact.exitCode)) return
  await engine.locks.run(fact.id, async () => {
    const exec = engine.execs.get(fact.id)
    if (exec?.status !== 'running') return
    engine.store.transaction(() => {
      engine.execs.put({ ...exec, status: 'ended', pid: 0, exitCode: fact.exitCode, finished: Date.now() })
      tell(engine, exec, 'exec_die', { exitCode: String(fact.exitCode) })
    })
  })
}

function tell(engine: Engine, exec: Exec, action: string, extra: Record<string, string> = {}): void {
  const container = engine.containers.get(exec.container)
  if (container) emitContainer(engine.store, container, action, { execID: exec.id, ...extra })
}

/** Asks the exec service about one that should be running: its end may not have been told yet. */
export async function refreshExec(engine: Engine, id: string): Promise<Exec> {
  const exec = engine.execs.find(id)
  if (exec.status !== 'running') return exec
  const ended = await sessionEnd(engine, exec)
  if (ended !== undefined) await execEnded(engine, { id, container: exec.container, exitCode: ended })
  return engine.execs.get(id) ?? exec
}

async function sessionEnd(engine: Engine, exec: Exec): Promise<number | undefined> {
  try {
    const state = await engine.lower.exec['session.state']({ id: exec.id })
    return state.running ? undefined : (state.exitCode ?? 255)
  } catch (error) {
    if (isKind(error, 'not-found')) return 255
    throw error
  }
}

/** Docker's ExecInspectResponse. */
export async function inspectExec(engine: Engine, id: string): Promise<Record<string, unknown>> {
  const exec = await refreshExec(engine, id)
  const { config } = exec
  const [entrypoint, ...args] = config.Cmd ?? []
  return {
    ID: exec.id,
    Running: exec.status === 'running',
    ExitCode: exec.exitCode,
    ProcessConfig: {
      tty: config.Tty ?? false,
      entrypoint,
      arguments: args,
      privileged: config.Privileged ?? false,
      ...(config.User ? { user: config.User } : {}),
    },
    OpenStdin: config.AttachStdin ?? false,
    OpenStdout: config.AttachStdout ?? false,
    OpenStderr: config.AttachStderr ?? false,
    CanRemove: false,
    ContainerID: exec.container,
    DetachKeys: config.DetachKeys ?? '',
    Pid: exec.pid,
  }
}

export async function resizeExec(engine: Engine, size: { id: string; rows: number; columns: number }): Promise<void> {
  const exec = engine.execs.find(size.id)
  if (exec.status !== 'running') throw conflict(`Exec ${size.id} is not running`)
  await engine.lower.exec['session.resize'](size)
}
