import type { ProcessSpec, Received, SessionState, StreamRef } from '../../shared/contracts/index.ts'
import type { ExitStatus, SessionHandle, StdioConnection } from '../../shared/drivers/index.ts'
import { conflict, internal, notFound } from '../../shared/errors/index.ts'
import type { Logger } from '../../shared/log/index.ts'
import { CHANNEL, type StreamServer } from '../../shared/streams/index.ts'
import type { BundleBuilder } from './bundle.ts'
import type { ExecDrivers } from './drivers.ts'
import type { FactTeller } from './facts.ts'
import type { Processes } from './processes.ts'
import type { Records, SessionRow } from './records.ts'
import { Attachment } from './stdio/attachment.ts'
import { StdioHub } from './stdio/hub.ts'
import { offerAttachment, type Send } from './stdio/offer.ts'
import { sendRest } from './stdio/resume.ts'

export interface SessionRequest extends Omit<SessionStreams, 'tty'> {
  readonly id: string
  readonly container: string
  readonly process: ProcessSpec
  readonly detach: boolean
}

/** What a client wants of a session's stdio. */
interface SessionStreams {
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly detachKeys: string
}

export interface SessionReply {
  pid: number
  stream?: StreamRef
}

/** As long as a stream's ticket is good for. */
const REPEATABLE_MS = 60_000
/** A gateway whose stream broke asks for another one as soon as this service is there. */
const KEPT_MS = 10_000

export interface SessionDependencies {
  readonly records: Records
  readonly drivers: ExecDrivers
  readonly bundles: BundleBuilder
  readonly processes: Processes
  readonly facts: FactTeller
  readonly streams: StreamServer
  readonly log: Logger
}

/** Further processes in running containers (docker exec). */
export class Sessions {
  readonly #d: SessionDependencies
  readonly #live = new Map<string, SessionHandle>()
  readonly #replies = new Map<string, Promise<SessionReply>>()

  constructor(dependencies: SessionDependencies) {
    this.#d = dependencies
  }

  /** A request that is sent again gets the same answer, as long as the stream in it can be opened. */
  async start(request: SessionRequest): Promise<SessionReply> {
    const earlier = this.#replies.get(request.id)
    if (earlier) return earlier
    const reply = this.#start(request)
    this.#replies.set(request.id, reply)
    setTimeout(() => this.#replies.delete(request.id), REPEATABLE_MS).unref()
    return reply
  }

  async #start(request: SessionRequest): Promise<SessionReply> {
    const { records, drivers, bundles, processes } = this.#d
    if (records.sessions.has(request.id)) throw conflict(`exec ${request.id} has been started already`)
    const container = records.processes.get(request.container)
    if (!container) throw conflict(`container ${request.container} is not running`)
    const { handle } = processes.running(request.container)
    const spec = bundles.session(request.process, container.facts.rootfs, container.facts.hostname)
    const row: SessionRow = {
      id: request.id,
      container: request.container,
      runtime: container.runtime,
      status: 'creating',
      pid: 0,
      told: false,
    }
    records.putSession(row)
    const driver = drivers.runtime(container.runtime)
    try {
      const session = await driver.exec({
        id: request.id,
        container: handle,
        process: { ...spec },
        terminal: request.process.tty,
        stdin: request.stdin,
        attach: !request.detach && (request.stdin || request.stdout || request.stderr),
      })
      const running: SessionRow = { ...row, status: 'running', pid: session.pid, state: session.state }
      records.putSession(running)
      this.adopt(running, session)
      return {
        pid: session.pid,
        ...(request.detach
          ? {}
          : { stream: this.#stream({ ...request, tty: request.process.tty }, session, session.stdio) }),
      }
    } catch (error) {
      await driver.removeSession(request.id)
      records.deleteSession(request.id)
      throw error
    }
  }

  /** Watches a session until its end; after a restart also one that has ended meanwhile. */
  adopt(row: SessionRow, session: SessionHandle): void {
    this.#live.set(row.id, session)
    void session.exited
      .then((status) => this.#ended(row, status))
      .catch((error: unknown) =>
        this.#d.log.error({ err: error, session: row.id }, 'end of a session could not be recorded'),
      )
  }

  async #ended(row: SessionRow, { exitCode }: ExitStatus): Promise<void> {
    this.#live.delete(row.id)
    await this.record({ ...row, status: 'exited', pid: 0, exitCode })
  }

  /** Tells that a session has ended, notes that it is told, and removes what there is of it. */
  async record(exited: SessionRow): Promise<void> {
    const { records, facts } = this.#d
    records.sessions.set(exited.id, exited)
    const fact = { id: exited.id, container: exited.container, exitCode: exited.exitCode ?? 137 }
    const told = await facts.tell('exec.session.exited', fact, exited.id)
    // Its container may be gone by now, and the session's row with it.
    if (records.sessions.get(exited.id) === exited) records.putSession({ ...exited, told })
    if (told) this.discard(exited)
  }

  /** Removes what there is of a session that has ended; not at once, for a client whose stream broke before it had all output. */
  discard({ id, runtime }: SessionRow): void {
    const remove = async (): Promise<void> => this.#d.drivers.runtime(runtime).removeSession(id)
    const failed = (error: unknown): void =>
      this.#d.log.warn({ err: error, session: id }, 'what a session left could not be removed')
    setTimeout(() => void remove().catch(failed), KEPT_MS).unref()
  }

  state(id: string): SessionState {
    const row = this.#d.records.sessions.get(id)
    if (!row) throw notFound(`exec ${id} is not known`)
    return {
      id,
      container: row.container,
      running: row.status !== 'exited',
      pid: row.pid,
      ...(row.exitCode === undefined ? {} : { exitCode: row.exitCode }),
    }
  }

  /** SIGKILL to a session that runs. */
  kill(id: string): void {
    this.#live.get(id)?.signal(9)
  }

  resize(id: string, rows: number, columns: number): void {
    const session = this.#live.get(id)
    if (!session) {
      if (this.#d.records.sessions.has(id)) throw conflict(`exec ${id} is not running`)
      throw notFound(`exec ${id} is not known`)
    }
    session.resize(rows, columns)
  }

  /** Another stream, for a client whose stream broke: with the rest of the output, from the session's log, as long as that is whole. */
  attach(request: SessionStreams & { readonly id: string; readonly has: Received }): StreamRef {
    const { records, drivers } = this.#d
    const row = records.sessions.get(request.id)
    if (!row) throw notFound(`exec ${request.id} is not known`)
    const session = this.#live.get(request.id)
    const read = drivers.runtime(row.runtime).sessionOutput(request.id)
    if (!read) {
      if (!session) throw internal(`what exec ${request.id} wrote is not kept any more`)
      return this.#stream(request, session, session.connect())
    }
    const ended = new AbortController()
    if (session) void session.exited.then(() => ended.abort())
    else ended.abort()
    const rest: Send = (stream) =>
      sendRest(stream, request.has, async ({ send, closed }) => {
        for await (const { channel, data } of read(ended.signal, closed)) {
          if (channel === CHANNEL.stdout ? request.stdout : request.stderr) await send(channel, data)
        }
      })
    const inputOnly = { ...request, stdout: false, stderr: false }
    return this.#stream(inputOnly, session, session?.connect(), rest)
  }

  /** One client has the session's stdio; what leaves with it is stdin. `output` sends output that does not come by way of `stdio`. */
  #stream(
    request: SessionStreams,
    session: SessionHandle | undefined,
    stdio: StdioConnection | undefined,
    output?: Send,
  ): StreamRef {
    const attachment = new Attachment({ ...request, stderr: request.stderr && !request.tty })
    const sources = output ? { output } : {}
    if (!session || !stdio) {
      if (session) void session.exited.then(() => attachment.end())
      else attachment.end()
      return offerAttachment(this.#d.streams, attachment, { ...sources, leave: () => undefined })
    }
    const hub = new StdioHub(() => stdio, true)
    attachment.connectInput({
      write: (data) => hub.write(data),
      close: () => {
        hub.closeStdin()
        return true
      },
    })
    hub.add({
      push: (chunk) => attachment.push(chunk),
      // Whoever sees the stream end asks for the exit code: by then it is known (`adopt` was called before this).
      end: () => void session.exited.then(() => attachment.end()),
    })
    return offerAttachment(this.#d.streams, attachment, { ...sources, leave: () => stdio.close() })
  }
}
