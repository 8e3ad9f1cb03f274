import { invalid } from '../../../shared/errors/index.ts'
import { isAlive, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'

/** One long poll. */
const POLL_MS = 20_000

export interface WaitRequest {
  readonly ref: string
  readonly condition: 'not-running' | 'next-exit' | 'removed'
  readonly ticket?: string
}
export interface WaitReply {
  readonly done: boolean
  readonly ticket: string
  readonly exitCode?: number
  readonly error?: string
}

/**
 * `docker wait`. The ticket says which container and how many of its runs had ended when the wait began, so that neither
 * another name nor a restart of the engine makes a waiter miss an end.
 */
export async function wait(engine: Engine, request: WaitRequest): Promise<WaitReply> {
  const { condition } = request
  const { id, exits } = request.ticket === undefined ? begin(engine, request.ref) : parseTicket(request.ticket)
  const ticket = request.ticket ?? `${id}.${exits}`
  const met = (c: Container | undefined): boolean => {
    if (!c) return true
    if (condition === 'next-exit') return c.state.exits > exits
    // A removal that failed is over as well.
    if (condition === 'removed') return c.state.status === 'dead'
    // Who waited while it ran is answered at its end, even if its policy starts it again.
    return (!isAlive(c) && c.state.status !== 'restarting') || c.state.exits > exits
  }
  const patience = request.ticket === undefined ? 0 : POLL_MS
  const done =
    met(engine.containers.get(id)) ||
    (patience > 0 && (await engine.containers.until(id, met, patience, engine.stopping.signal)))
  if (!done) return { done, ticket }
  const end = engine.containers.get(id)?.state
  if (!end) return { done, ticket, exitCode: engine.containers.removedExitCode(id) ?? 0 }
  return { done, ticket, exitCode: end.exitCode, ...(end.error ? { error: end.error } : {}) }
}

function begin(engine: Engine, ref: string): { id: string; exits: number } {
  const { id, state } = engine.containers.find(ref)
  return { id, exits: state.exits }
}

function parseTicket(ticket: string): { id: string; exits: number } {
  const [, id, exits] = /^([a-f0-9]{64})\.(\d+)$/.exec(ticket) ?? []
  if (id === undefined || exits === undefined) throw invalid('the wait ticket is not one of this engine')
  return { id, exits: Number(exits) }
}
