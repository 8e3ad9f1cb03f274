import Type, { type Static, type TSchema } from 'typebox'
import { Id, Labels } from './common.ts'

/**
 * Two kinds of things are told, both in JetStream:
 *
 * - events, stream EVENTS, subject `gantry.<node>.events.<type>.<action>`: what Docker's /events shows. They are written to
 *   the teller's outbox in the transaction of the change that they tell of.
 * - facts, stream FACTS, subject `gantry.<node>.facts.<name>`: what a lower service tells the engine ("facts go up").
 */
export const EventMessage = Type.Object({
  /** container, image, network, volume, daemon, plugin */
  Type: Type.String(),
  Action: Type.String(),
  Actor: Type.Object({ ID: Type.String(), Attributes: Labels }),
  scope: Type.Literal('local'),
  /** Seconds, and nanoseconds as Docker sends them. */
  time: Type.Integer(),
  timeNano: Type.Number(),
  node: Type.String(),
  job: Type.Optional(Type.String()),
})
export type EventMessage = Static<typeof EventMessage>

const fact = <T extends TSchema>(schema: T): T => schema

export const facts = {
  /** A container's first process ended. */
  'exec.process.exited': fact(
    Type.Object({ id: Id, instance: Type.String(), exitCode: Type.Integer(), finishedAt: Type.String() }),
  ),
  /** An exec session ended. */
  'exec.session.exited': fact(Type.Object({ id: Id, container: Id, exitCode: Type.Integer() })),
  /** The OOM killer struck in a container's `cgroup`, or in one below. `total`: how often so far in this run. */
  'cgroup.oom': fact(Type.Object({ id: Id, instance: Type.String(), cgroup: Type.String(), total: Type.Integer() })),
  /** A service (re)started and has recovered: the engine then reconciles with it. */
  'service.ready': fact(Type.Object({ service: Type.String(), pid: Type.Integer() })),
} as const

export type FactName = keyof typeof facts
export type FactOf<N extends FactName> = Static<(typeof facts)[N]>
