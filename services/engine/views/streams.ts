import { setTimeout as delay } from 'node:timers/promises'
import type { StreamRef } from '../../../shared/contracts/index.ts'
import { conflict, invalid, isKind } from '../../../shared/errors/index.ts'
import { logDetails } from '../config/log-details.ts'
import { isAlive, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { findRunning } from '../execs/sessions.ts'
import { logOf } from '../plan/run-request.ts'

/** As long as it may take to record a start, and how often it is looked for. */
const [STARTING_MS, LOOK_MS] = [10_000, 50]

interface AttachRequest {
  readonly ref: string
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly logs: boolean
  readonly stream: boolean
  readonly detachKeys: string
  readonly resume?: AttachPoint & { readonly stdout: number; readonly stderr: number }
}
interface AttachPoint {
  readonly exits: number
  readonly since: number
}
type StreamReply = Promise<{ stream: StreamRef; tty: boolean }>

/** A stream to a container's stdio; one that does not run yet is waited for. */
export async function attach(
  engine: Engine,
  { resume, ...request }: AttachRequest,
): Promise<Awaited<StreamReply> & { point?: AttachPoint }> {
  const { ref } = request
  const container = engine.containers.find(ref)
  const { state } = container
  if (resume) return attachAgain(engine, container.id, { ...request, logs: false }, resume)
  if (state.status === 'paused') throw conflict(`container ${ref} is paused, unpause the container before attach`)
  if (state.status === 'restarting') {
    throw conflict(`container ${ref} is restarting, wait until the container is running before attach`)
  }
  const point = { exits: state.exits, since: request.logs ? 0 : outputSince(container) }
  const reply = await openAttachment(engine, container, request)
  engine.store.transaction(() => emitContainer(engine.store, container, 'attach'))
  return { ...reply, point }
}

/**
 * The exec service may be away for so long that the container starts, ends and is removed before the request arrives there: then it would
 * wait for a run that nobody wants. @throws `not-found` when the container is gone.
 */
async function attachAgain(
  engine: Engine,
  id: string,
  request: Omit<AttachRequest, 'resume' | 'ref'>,
  resume: NonNullable<AttachRequest['resume']>,
): StreamReply {
  for (const end = Date.now() + STARTING_MS; ;) {
    const container = engine.containers.find(id)
    try {
      const reply = await openAttachment(engine, container, request, resume)
      if (engine.containers.find(id).state.exits === container.state.exits) return reply
    } catch (error) {
      // It has been started meanwhile, which is about to be recorded here.
      if (!isKind(error, 'conflict') || Date.now() > end) throw error
      await delay(LOOK_MS)
    }
  }
}

/** From when on the log has what one who attaches now will see: from now on, or all of the next run. */
function outputSince({ state }: Container): number {
  if (state.status === 'running') return Date.now() / 1000
  // What an earlier run wrote last may have the time of its end.
  return Math.max(0, Date.parse(state.finishedAt) + 1) / 1000
}

async function openAttachment(
  engine: Engine,
  container: Container,
  request: Omit<AttachRequest, 'resume' | 'ref'>,
  resume?: AttachRequest['resume'],
): StreamReply {
  const { config, state } = container
  const { stdin, stdout, stderr, logs, stream: live, detachKeys } = request
  const tty = config.Tty ?? false
  const ended = resume !== undefined && state.exits > resume.exits
  const rest = resume && {
    ...{ since: resume.since, stdout: resume.stdout, stderr: resume.stderr, ended },
    until: ended ? (Date.parse(state.finishedAt) + 1) / 1000 : 0,
  }
  const { stream } = await engine.lower.exec['process.attach']({
    ...{ id: container.id, stdout, stderr, logs, stream: live, detachKeys, tty },
    ...(isAlive(container) && !ended ? { instance: state.instance } : {}),
    stdin: stdin && (config.OpenStdin ?? false),
    log: logOf(container),
    // What was never run is waited for, as before.
    ...(rest && (ended || isAlive(container) ? { resume: rest } : { unrun: true })),
  })
  return { stream, tty }
}

interface LogsRequest {
  readonly ref: string
  readonly stdout: boolean
  readonly stderr: boolean
  readonly since: number
  readonly until: number
  readonly tail: number
  readonly follow: boolean
  readonly timestamps: boolean
  readonly details: boolean
}

/** A stream with a container's log. */
export async function logs(engine: Engine, { ref, ...request }: LogsRequest): StreamReply {
  if (!request.stdout && !request.stderr) throw invalid('Bad parameters: you must choose at least one stream')
  const container = engine.containers.find(ref)
  const { stream } = await engine.lower.exec['process.logs']({
    ...request,
    id: container.id,
    log: logOf(container),
    details: request.details ? logDetails(container, container.hostConfig.LogConfig?.Config ?? {}) : '',
  })
  return { stream, tty: container.config.Tty ?? false }
}

/** Terminal size of a running container. */
export async function resize(engine: Engine, { ref, rows, columns }: { ref: string; rows: number; columns: number }) {
  const container = findRunning(engine, ref, 'resize')
  await engine.lower.exec['process.resize']({ id: container.id, rows, columns })
  engine.store.transaction(() =>
    emitContainer(engine.store, container, 'resize', { height: String(rows), width: String(columns) }),
  )
}

/** The processes of a running container as `ps` shows them. */
export async function top(engine: Engine, ref: string, psArgs: string) {
  const container = engine.containers.find(ref)
  if (container.state.status !== 'paused') findRunning(engine, ref, 'top')
  const { pids } = await engine.lower.cgroup['group.pids']({ id: container.id })
  const result = await engine.lower.exec['process.top']({ pids, psArgs: psArgs || '-ef' })
  engine.store.transaction(() => emitContainer(engine.store, container, 'top'))
  return result
}
