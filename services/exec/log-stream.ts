import type { LogQuery } from '../../shared/drivers/index.ts'
import type { StreamConnection } from '../../shared/streams/index.ts'
import type { ExecDrivers } from './drivers.ts'
import type { LogKeeper } from './logs.ts'
import type { Processes } from './processes.ts'

export interface LogRequest {
  readonly id: string
  readonly log: { readonly driver: string }
  readonly stdout: boolean
  readonly stderr: boolean
  readonly since: number
  readonly until: number
  readonly tail: number
  readonly follow: boolean
  readonly timestamps: boolean
  readonly details: string
}

/** Sends a container's log. Each frame ends with the end of a line, as far as lines are not longer than a frame. */
export class LogStreams {
  readonly #drivers: ExecDrivers
  readonly #logs: LogKeeper
  readonly #processes: Processes

  constructor(drivers: ExecDrivers, logs: LogKeeper, processes: Processes) {
    this.#drivers = drivers
    this.#logs = logs
    this.#processes = processes
  }

  /** Whether a log of this kind can be read. */
  readable(request: Pick<LogRequest, 'log'>): boolean {
    return this.#drivers.log(request.log.driver).manifest.capabilities['read'] === true
  }

  /** What serves a stream with nothing but the log. Throws `not-implemented` at once when the driver cannot read. */
  serve(request: LogRequest): (stream: StreamConnection) => Promise<void> {
    const send = this.send(request)
    return async (stream) => {
      void drain(stream)
      await send(stream)
    }
  }

  /** The same for a stream that somebody else reads. */
  send(request: LogRequest): (stream: Pick<StreamConnection, 'send' | 'closed'>) => Promise<void> {
    const driver = this.#drivers.log(request.log.driver)
    // A log that is not followed is read up to its end; one of a process that does not run has nothing to follow.
    const live = request.follow ? this.#processes.find(request.id) : undefined
    const { stdout, stderr, since, until, tail, timestamps, details } = request
    const query = (cancelled: AbortSignal): LogQuery => ({
      ...{ stdout, stderr, since, until, tail, timestamps, details, cancelled },
      ...(live ? { follow: live.ended } : {}),
    })
    if (!this.readable(request)) driver.read(request.id, query(AbortSignal.abort()))
    return async (stream) => {
      await this.#logs.settle(request.id)
      for await (const { channel, data } of driver.read(request.id, query(stream.closed)))
        await stream.send(channel, data)
    }
  }
}

/** The client says nothing, but its end is noticed by reading. */
async function drain(stream: StreamConnection): Promise<void> {
  try {
    for await (const _ of stream.frames);
  } catch {
    // It is gone; `closed` says so too.
  }
}
