import Type, { type Static } from 'typebox'
import { Empty, Filters, Health, Id, Json, Received, Ref, StreamReply } from './common.ts'
import { contract, verb } from './verb.ts'

const g = ['gateway', 'admin'] as const
const ref = Type.String({ minLength: 1 })

/** One step of a job; milliseconds since the epoch and duration. */
export const JobStep = Type.Object({
  name: Type.String(),
  status: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed'), Type.Literal('undone')]),
  startedAt: Type.Number(),
  ms: Type.Number(),
  error: Type.Optional(Type.String()),
})

export const Job = Type.Object({
  id: Type.String(),
  name: Type.String(),
  arguments: Json,
  status: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]),
  startedAt: Type.Number(),
  ms: Type.Number(),
  traceparent: Type.String(),
  /** The caller's id of the request that it answers. */
  request: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
  steps: Type.Array(JobStep),
})
export type Job = Static<typeof Job>

/** Where an attachment began: how many runs of the container had ended, and from when on the log has its output (seconds since the epoch). */
const attachPoint = Type.Object({ exits: Type.Integer(), since: Type.Number() })

const stream = Type.Object({
  ...StreamReply.properties,
  tty: Type.Boolean(),
})

export const engineContract = contract('engine', '1.0.0', {
  'container.create': verb({
    summary: 'A container in state `created`. Repeating it with the same id returns it.',
    request: Type.Object({
      id: Id,
      /** Without slash; empty: one is invented. */
      name: Type.String(),
      platform: Type.Optional(Type.String()),
      /** Docker's ContainerCreateRequest: Config's members at the top, HostConfig, NetworkingConfig. */
      body: Json,
    }),
    reply: Type.Object({ id: Id, warnings: Type.Array(Type.String()) }),
    callers: g,
    timeoutMs: 180_000,
  }),
  'container.start': verb({
    summary: '`not-modified` when it runs already.',
    request: Type.Object({ ref, detachKeys: Type.Optional(Type.String()) }),
    reply: Empty,
    callers: g,
    timeoutMs: 120_000,
  }),
  'container.stop': verb({
    summary:
      "Stop signal, then SIGKILL after `timeout` seconds (absent: the container's; -1: never). `not-modified` when stopped.",
    request: Type.Object({ ref, timeout: Type.Optional(Type.Integer()), signal: Type.Optional(Type.String()) }),
    reply: Empty,
    callers: g,
    timeoutMs: 86_400_000,
  }),
  'container.restart': verb({
    summary: 'Stop, then start.',
    request: Type.Object({ ref, timeout: Type.Optional(Type.Integer()), signal: Type.Optional(Type.String()) }),
    reply: Empty,
    callers: g,
    timeoutMs: 86_400_000,
  }),
  'container.kill': verb({
    summary: 'Sends a signal by name or number; empty for SIGKILL. `conflict` when it does not run.',
    request: Type.Object({ ref, signal: Type.String() }),
    reply: Empty,
    callers: g,
  }),
  'container.pause': verb({ summary: 'Freezes it.', request: Ref, reply: Empty, callers: g }),
  'container.unpause': verb({ summary: 'Thaws it.', request: Ref, reply: Empty, callers: g }),
  'container.rename': verb({
    summary: 'New name; `conflict` names the holder.',
    request: Type.Object({ ref, name: Type.String() }),
    reply: Empty,
    callers: g,
  }),
  'container.update': verb({
    summary: "Docker's update: limits and restart policy of a container, live.",
    request: Type.Object({ ref, body: Json }),
    reply: Type.Object({ warnings: Type.Array(Type.String()) }),
    callers: g,
  }),
  'container.remove': verb({
    summary: 'Removes it; a running one only with `force`.',
    request: Type.Object({ ref, force: Type.Boolean(), volumes: Type.Boolean(), link: Type.Boolean() }),
    reply: Empty,
    callers: g,
    timeoutMs: 120_000,
  }),
  'container.prune': verb({
    summary: 'Removes all stopped containers that the filters choose.',
    request: Type.Object({ filters: Filters }),
    reply: Type.Object({ ContainersDeleted: Type.Array(Type.String()), SpaceReclaimed: Type.Integer() }),
    callers: g,
    timeoutMs: 600_000,
  }),
  'container.list': verb({
    summary: "Docker's ContainerSummary[].",
    request: Type.Object({ all: Type.Boolean(), size: Type.Boolean(), limit: Type.Integer(), filters: Filters }),
    reply: Type.Array(Json),
    callers: g,
  }),
  'container.inspect': verb({
    summary: "Docker's ContainerInspectResponse.",
    request: Type.Object({ ref, size: Type.Boolean() }),
    reply: Json,
    callers: g,
  }),
  'container.wait': verb({
    summary:
      'Long poll, so that a wait outlives a restart of the engine. The first call, without `ticket`, answers at once with one; ' +
      'calls with it answer when the condition has come true or after some 20 s with done=false: ask again.',
    request: Type.Object({
      ref,
      condition: Type.Union([Type.Literal('not-running'), Type.Literal('next-exit'), Type.Literal('removed')]),
      ticket: Type.Optional(Type.String()),
    }),
    reply: Type.Object({
      done: Type.Boolean(),
      ticket: Type.String(),
      exitCode: Type.Optional(Type.Integer()),
      error: Type.Optional(Type.String()),
    }),
    callers: g,
    timeoutMs: 40_000,
  }),
  'container.top': verb({
    summary: 'Processes, as `ps` shows them.',
    request: Type.Object({ ref, psArgs: Type.String() }),
    reply: Type.Object({ Titles: Type.Array(Type.String()), Processes: Type.Array(Type.Array(Type.String())) }),
    callers: g,
  }),
  'container.logs': verb({
    summary: 'A stream with the log; see exec process.logs.',
    request: Type.Object({
      ref,
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      since: Type.Number(),
      until: Type.Number(),
      tail: Type.Integer(),
      follow: Type.Boolean(),
      timestamps: Type.Boolean(),
      details: Type.Boolean(),
    }),
    reply: stream,
    callers: g,
  }),
  'container.attach': verb({
    summary: 'A stream to stdio; see exec process.attach.',
    request: Type.Object({
      ref,
      stdin: Type.Boolean(),
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      logs: Type.Boolean(),
      stream: Type.Boolean(),
      detachKeys: Type.String(),
      /** Goes on with an attachment whose stream broke: where it began, and how many bytes the client has. */
      resume: Type.Optional(Type.Object({ ...attachPoint.properties, ...Received.properties })),
    }),
    reply: Type.Object({ ...stream.properties, point: Type.Optional(attachPoint) }),
    callers: g,
  }),
  'container.resize': verb({
    summary: 'Terminal size.',
    request: Type.Object({ ref, rows: Type.Integer(), columns: Type.Integer() }),
    reply: Empty,
    callers: g,
  }),
  'container.stats': verb({
    summary:
      "One sample in Docker's form (no precpu_stats: the gateway keeps the previous sample); a stopped container's is empty.",
    request: Ref,
    reply: Json,
    callers: g,
  }),
  'network.connect': verb({
    summary: "Connects a container to a network; body is Docker's EndpointSettings.",
    request: Type.Object({ network: Type.String(), container: Type.String(), config: Json }),
    reply: Empty,
    callers: g,
  }),
  'network.disconnect': verb({
    summary: 'Disconnects it.',
    request: Type.Object({ network: Type.String(), container: Type.String(), force: Type.Boolean() }),
    reply: Empty,
    callers: g,
  }),
  'exec.create': verb({
    summary: "A record of a process to run in a container (Docker's ExecConfig).",
    request: Type.Object({ id: Id, ref, body: Json }),
    reply: Type.Object({ id: Id }),
    callers: g,
  }),
  'exec.start': verb({
    summary: 'Runs it; `stream` is absent when detached.',
    request: Type.Object({
      id: Type.String(),
      detach: Type.Boolean(),
      tty: Type.Boolean(),
      consoleSize: Type.Optional(Type.Array(Type.Integer())),
    }),
    reply: Type.Object({ tty: Type.Boolean(), stream: Type.Optional(StreamReply.properties.stream) }),
    callers: g,
  }),
  'exec.attach': verb({
    summary: 'Another stream to an exec whose stream broke; see exec session.attach.',
    request: Type.Object({ id: Type.String(), has: Received }),
    reply: stream,
    callers: g,
  }),
  'exec.inspect': verb({
    summary: "Docker's ExecInspectResponse.",
    request: Type.Object({ id: Type.String() }),
    reply: Json,
    callers: g,
  }),
  'exec.resize': verb({
    summary: 'Terminal size of an exec.',
    request: Type.Object({ id: Type.String(), rows: Type.Integer(), columns: Type.Integer() }),
    reply: Empty,
    callers: g,
  }),
  'job.list': verb({
    summary: 'The latest jobs, newest last.',
    request: Type.Object({ last: Type.Integer({ minimum: 1, maximum: 1000 }) }),
    reply: Type.Array(Job),
    callers: g,
  }),
  info: verb({
    summary: 'What /info shows of containers.',
    request: Empty,
    reply: Type.Object({
      id: Type.String(),
      containers: Type.Integer(),
      running: Type.Integer(),
      paused: Type.Integer(),
      stopped: Type.Integer(),
    }),
    callers: g,
  }),
  health: verb({ summary: 'Readiness, warnings.', request: Empty, reply: Health, callers: ['gateway', 'admin'] }),
})
export type EngineContract = typeof engineContract
