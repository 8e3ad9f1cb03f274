import Type, { type Static } from 'typebox'
import { Empty, Health, Id, Json, Keep, Labels, Mount, Received, Removed, StreamReply } from './common.ts'
import { contract, verb } from './verb.ts'

/** How one of pid, ipc, uts, cgroup is shared: `private`, `host`, or `path` (a namespace file such as /proc/7/ns/ipc). */
export const NamespaceMode = Type.Union([
  Type.Object({ kind: Type.Literal('private') }),
  Type.Object({ kind: Type.Literal('host') }),
  Type.Object({ kind: Type.Literal('path'), path: Type.String() }),
])
export type NamespaceMode = Static<typeof NamespaceMode>

export const Rlimit = Type.Object({ type: Type.String(), soft: Type.Integer(), hard: Type.Integer() })

/** A process to run, as a Docker user says it; user names are looked up in the container's own /etc/passwd. */
export const ProcessSpec = Type.Object({
  args: Type.Array(Type.String(), { minItems: 1 }),
  /** `NAME=value` */
  env: Type.Array(Type.String()),
  /** Absolute; made when missing. Empty for `/`. */
  cwd: Type.String(),
  /** `user[:group]` by name or number; empty for root. */
  user: Type.String(),
  groupAdd: Type.Array(Type.String()),
  tty: Type.Boolean(),
  /** Terminal size [rows, columns]. */
  consoleSize: Type.Optional(Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 })),
  privileged: Type.Boolean(),
  capAdd: Type.Array(Type.String()),
  capDrop: Type.Array(Type.String()),
  noNewPrivileges: Type.Boolean(),
})
export type ProcessSpec = Static<typeof ProcessSpec>

export const DeviceRequest = Type.Object({
  pathOnHost: Type.String(),
  pathInContainer: Type.String(),
  permissions: Type.String(),
})

export const RunRequest = Type.Object({
  /** The container's id. */
  id: Id,
  /**
   * Chosen by the engine, new for every start. The exit fact carries it, so that a late fact of an earlier run is
   * known as such, and repeating a run with the same instance returns what is there.
   */
  instance: Type.String({ minLength: 1 }),
  name: Type.String(),
  /** Driver name; empty for the default. */
  runtime: Type.String(),
  rootfs: Type.String(),
  readonlyRootfs: Type.Boolean(),
  /** In order: storage's mounts, network's files. */
  mounts: Type.Array(Mount),
  netns: Type.Union([Type.String(), Type.Null()]),
  cgroupsPath: Type.String(),
  systemdCgroup: Type.Boolean(),
  /** linux.resources besides device rules, where the runtime must set the limits (group.create's `resources`). */
  cgroupResources: Type.Optional(Json),
  process: ProcessSpec,
  /** Keep stdin open for attaching clients (-i). */
  stdin: Type.Boolean(),
  /** Close stdin when the first attached client leaves it. */
  stdinOnce: Type.Boolean(),
  hostname: Type.String(),
  domainname: Type.String(),
  namespaces: Type.Object({ pid: NamespaceMode, ipc: NamespaceMode, uts: NamespaceMode, cgroup: NamespaceMode }),
  /** Bytes of /dev/shm; 0 for the default, 64 MB. With `shmPath` that directory is shared instead. */
  shmSize: Type.Integer(),
  shmPath: Type.Optional(Type.String()),
  /** Puts /dev/shm where other containers can share it (--ipc shareable): the reply then has `shmPath`, for their requests. */
  shmShareable: Type.Optional(Type.Boolean()),
  /** False: there is no /dev/shm (--ipc none). */
  shmMounted: Type.Optional(Type.Boolean()),
  devices: Type.Array(DeviceRequest),
  /** Rules such as `c 42:* rmw`. */
  deviceCgroupRules: Type.Array(Type.String()),
  sysctls: Labels,
  rlimits: Type.Array(Rlimit),
  oomScoreAdj: Type.Integer(),
  /** Absent: Docker's defaults; empty: none. */
  maskedPaths: Type.Optional(Type.Array(Type.String())),
  readonlyPaths: Type.Optional(Type.Array(Type.String())),
  /** `default`, `unconfined`, or a profile in Docker's JSON. */
  seccomp: Type.String(),
  init: Type.Boolean(),
  annotations: Labels,
  log: Type.Object({ driver: Type.String(), options: Labels }),
})
export type RunRequest = Static<typeof RunRequest>

/** A container's process as the exec service knows it. */
export const ProcessState = Type.Object({
  id: Id,
  instance: Type.String(),
  status: Type.Union([Type.Literal('creating'), Type.Literal('running'), Type.Literal('exited')]),
  /** Host pid of its first process; 0 when it has ended. */
  pid: Type.Integer(),
  runtime: Type.String(),
  /** RFC 3339 */
  startedAt: Type.String(),
  exitCode: Type.Optional(Type.Integer()),
  finishedAt: Type.Optional(Type.String()),
  /** Of a container with `shmShareable`. */
  shmPath: Type.Optional(Type.String()),
})
export type ProcessState = Static<typeof ProcessState>

export const SessionState = Type.Object({
  id: Id,
  container: Id,
  running: Type.Boolean(),
  pid: Type.Integer(),
  exitCode: Type.Optional(Type.Integer()),
})
export type SessionState = Static<typeof SessionState>

const one = Type.Object({ id: Id })
const size = Type.Object({ id: Id, rows: Type.Integer({ minimum: 0 }), columns: Type.Integer({ minimum: 0 }) })
const e = ['engine', 'admin'] as const

export const execContract = contract('exec', '1.0.0', {
  'process.check': verb({
    summary:
      'Refuses at create time what `process.run` would refuse later, as far as it does not depend on the image: unknown runtime, log driver ' +
      'or log option, capability, ulimit, device rule, seccomp profile, a missing init. Changes nothing.',
    request: Type.Object({
      runtime: Type.String(),
      log: Type.Object({ driver: Type.String(), options: Labels }),
      capAdd: Type.Array(Type.String()),
      capDrop: Type.Array(Type.String()),
      deviceCgroupRules: Type.Array(Type.String()),
      rlimits: Type.Array(Rlimit),
      seccomp: Type.String(),
      init: Type.Boolean(),
    }),
    reply: Empty,
    callers: e,
  }),
  'process.run': verb({
    summary:
      'Makes the bundle, creates the container with its runtime under a shim, connects waiting attach streams, starts it. On ' +
      "failure nothing is left and the message is the runtime's. details.exitCode is 127 (no such command) or 126 " +
      '(not executable) where that is the reason.',
    request: RunRequest,
    reply: Type.Object({
      pid: Type.Integer(),
      startedAt: Type.String(),
      runtime: Type.String(),
      logPath: Type.String(),
      shmPath: Type.Optional(Type.String()),
    }),
    callers: e,
    timeoutMs: 60_000,
  }),
  'process.signal': verb({
    summary:
      'Sends a signal (number) to the first process, once for each `key`; `conflict` when it does not run and was not sent it.',
    request: Type.Object({
      id: Id,
      signal: Type.Integer({ minimum: 1, maximum: 64 }),
      key: Type.Optional(Type.String()),
    }),
    reply: Empty,
    callers: e,
  }),
  'process.delete': verb({
    summary: 'Ends what still runs, removes runtime state, bundle and shim. Keeps the log. Unknown id is no error.',
    request: one,
    reply: Empty,
    callers: e,
  }),
  'process.purge': verb({
    summary: 'process.delete, and the logs too (the container is removed).',
    request: one,
    reply: Empty,
    callers: e,
  }),
  'process.state': verb({
    summary: '`not-found` when there is no process record.',
    request: one,
    reply: ProcessState,
    callers: e,
  }),
  'process.list': verb({ summary: 'All that is known.', request: Empty, reply: Type.Array(ProcessState), callers: e }),
  'process.resize': verb({ summary: 'Terminal size.', request: size, reply: Empty, callers: e }),
  'process.attach': verb({
    summary:
      "A stream to the container's stdio: stdin on channel 0, stdout 1, stderr 2 (all of a terminal is 1). Works before the " +
      'process runs: the stream then waits for process.run. It ends when the process ends.',
    request: Type.Object({
      id: Id,
      /** The run that the caller saw running: when that has ended meanwhile, the stream ends at once and waits for no other. */
      instance: Type.Optional(Type.String()),
      /** The caller saw no run yet, and wants all of the next one: `conflict` when that has begun meanwhile. */
      unrun: Type.Optional(Type.Boolean()),
      stdin: Type.Boolean(),
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      /** Also send the log so far, first. */
      logs: Type.Boolean(),
      /** Live output; false with `logs` is the log alone. */
      stream: Type.Boolean(),
      tty: Type.Boolean(),
      /** For example `ctrl-p,ctrl-q`; empty for that default. Only for terminals. */
      detachKeys: Type.String(),
      /** Read when the process does not run yet; the log options of `logs`. */
      log: Type.Object({ driver: Type.String(), options: Labels }),
      /**
       * Goes on with an attachment whose stream broke. Its output then comes from the log: records between `since` and `until` (seconds
       * since the epoch; 0: no bound), without the first bytes, which the client has. A log driver that cannot read: from now on.
       */
      resume: Type.Optional(
        Type.Object({
          since: Type.Number(),
          until: Type.Number(),
          ...Received.properties,
          /** The run that it was attached to is over. */
          ended: Type.Boolean(),
        }),
      ),
    }),
    reply: StreamReply,
    callers: e,
  }),
  'process.logs': verb({
    summary: 'The log on channels 1 and 2. `not-implemented` when the log driver cannot read.',
    request: Type.Object({
      id: Id,
      log: Type.Object({ driver: Type.String(), options: Labels }),
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      /** Seconds since the epoch, with fraction; 0: no bound. */
      since: Type.Number(),
      until: Type.Number(),
      /** Lines from the end; -1: all. */
      tail: Type.Integer(),
      follow: Type.Boolean(),
      timestamps: Type.Boolean(),
      /** Prefixed to each line with --details. */
      details: Type.String(),
    }),
    reply: StreamReply,
    callers: e,
  }),
  'process.top': verb({
    summary: 'Runs `ps` on the host with `psArgs` and keeps the rows of `pids` (Docker TopResponse).',
    request: Type.Object({ pids: Type.Array(Type.Integer()), psArgs: Type.String() }),
    reply: Type.Object({ Titles: Type.Array(Type.String()), Processes: Type.Array(Type.Array(Type.String())) }),
    callers: e,
  }),
  'process.reconcile': verb({
    summary: 'Ends and removes processes of containers that are not in `keep`.',
    request: Keep,
    reply: Removed,
    callers: e,
  }),
  'session.start': verb({
    summary: 'Runs one more process in a running container (docker exec). `stream` is absent when detached.',
    request: Type.Object({
      /** The exec id. */
      id: Id,
      container: Id,
      process: ProcessSpec,
      stdin: Type.Boolean(),
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      detach: Type.Boolean(),
      detachKeys: Type.String(),
    }),
    reply: Type.Object({ pid: Type.Integer(), stream: Type.Optional(StreamReply.properties.stream) }),
    callers: e,
  }),
  'session.attach': verb({
    summary: 'Another stream to an exec whose stream broke: input, and the output that the client does not have.',
    request: Type.Object({
      id: Id,
      tty: Type.Boolean(),
      stdin: Type.Boolean(),
      stdout: Type.Boolean(),
      stderr: Type.Boolean(),
      detachKeys: Type.String(),
      has: Received,
    }),
    reply: StreamReply,
    callers: e,
  }),
  'session.state': verb({ summary: 'State of an exec.', request: one, reply: SessionState, callers: e }),
  'session.kill': verb({
    summary: 'SIGKILL to an exec that runs; one that does not is no error.',
    request: one,
    reply: Empty,
    callers: e,
  }),
  'session.resize': verb({ summary: 'Terminal size of an exec.', request: size, reply: Empty, callers: e }),
  info: verb({
    summary: 'Runtimes with versions, default runtime, log drivers, security options.',
    request: Empty,
    reply: Type.Object({
      defaultRuntime: Type.String(),
      runtimes: Type.Record(Type.String(), Type.Object({ path: Type.String(), version: Type.String() })),
      logDrivers: Type.Array(Type.String()),
      defaultLogDriver: Type.String(),
      securityOptions: Type.Array(Type.String()),
      initBinary: Type.String(),
    }),
    callers: ['gateway', 'engine', 'admin'],
  }),
  health: verb({
    summary: 'Readiness, drivers, warnings.',
    request: Empty,
    reply: Health,
    callers: ['gateway', 'engine', 'admin'],
  }),
})
export type ExecContract = typeof execContract
