import type { StreamRef } from '../../../shared/contracts/index.ts'
import { conflict, invalid } from '../../../shared/errors/index.ts'
import type { Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { findRunning } from '../execs/sessions.ts'
import { logOf } from '../plan/run-request.ts'

interface AttachRequest {
  readonly ref: string
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly logs: boolean
  readonly stream: boolean
  readonly detachKeys: string
}
type StreamReply = Promise<{ stream: StreamRef; tty: boolean }>

/** A stream to a container's stdio; one that does not run yet is waited for. */
export async function attach(engine: Engine, { ref, ...request }: AttachRequest): StreamReply {
  const container = engine.containers.find(ref)
  const { id, config, state } = container
  if (state.status === 'paused') throw conflict(`container ${ref} is paused, unpause the container before attach`)
  if (state.status === 'restarting') {
    throw conflict(`container ${ref} is restarting, wait until the container is running before attach`)
  }
  const tty = config.Tty ?? false
  const { stream } = await engine.lower.exec['process.attach']({
    ...request,
    id,
    ...(state.status === 'running' ? { instance: state.instance } : {}),
    stdin: request.stdin && (config.OpenStdin ?? false),
    tty,
    log: logOf(container),
  })
  engine.store.transaction(() => emitContainer(engine.store, container, 'attach'))
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
    details: request.details ? logDetails(container) : '',
  })
  return { stream, tty: container.config.Tty ?? false }
}

/** What --details prefixes to each line: the labels and variables that the log options name. */
function logDetails({ config, hostConfig }: Container): string {
  const options = hostConfig.LogConfig?.Config ?? {}
  const named = (text: string | undefined) => (text ? text.split(',') : [])
  const env = Object.fromEntries(
    (config.Env ?? []).map((e) => [e.slice(0, e.indexOf('=')), e.slice(e.indexOf('=') + 1)]),
  )
  const pairs = [
    ...named(options['env']).map((name) => [name, env[name]] as const),
    ...named(options['labels']).map((name) => [name, config.Labels?.[name]] as const),
  ]
  return pairs
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value ?? '')}`)
    .join(',')
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
