import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { invalid } from '../errors/index.ts'
import { lazy } from '../lazy.ts'

/** /etc/gantry/gantry.json: all members optional. Unknown members are refused, so that a typing error is noticed. */
export const ConfigFile = Type.Object(
  {
    /** TCP addresses for the API besides the unix socket; loopback only (`tcp://127.0.0.1:2375`). */
    hosts: Type.Optional(Type.Array(Type.String())),
    /** Group of the API socket (mode 0660). Default `docker`, root when there is no such group. */
    socketGroup: Type.Optional(Type.String()),
    node: Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,32}$' })),
    logLevel: Type.Optional(Type.String()),
    /** Preferred default driver for each kind; otherwise the best that can run here. */
    defaultDrivers: Type.Optional(Type.Record(Type.String(), Type.String())),
    /**
     * Parent of all container cgroups: a path below the root of the hierarchies (`/containers`), or a slice (`machine.slice`). It
     * may be shared with others.
     */
    cgroupParent: Type.Optional(Type.String()),
    network: Type.Optional(
      Type.Object(
        {
          /** Address and prefix of the default bridge, for example `172.17.0.1/16`. */
          defaultBridge: Type.Optional(Type.String()),
          /** Pools for networks without a subnet: `{base: '172.18.0.0/15', size: 24}`. */
          pools: Type.Optional(Type.Array(Type.Object({ base: Type.String(), size: Type.Integer() }))),
          /** Forwarders of the embedded DNS; default: the host's resolv.conf. */
          dns: Type.Optional(Type.Array(Type.String())),
          /** Where the engine switches packet forwarding on: let the host route between its uplinks too. Default false. */
          ipForwardNoDrop: Type.Optional(Type.Boolean()),
        },
        { additionalProperties: false },
      ),
    ),
    logOptions: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  { additionalProperties: false },
)
export type ConfigFile = Static<typeof ConfigFile>

export interface Config extends ConfigFile {
  readonly node: string
  /** State, kept across reboots. */
  readonly root: string
  /** Run-time files: sockets, namespace files, mounts. */
  readonly run: string
  /**
   * Short name of this engine on its machine, [a-z0-9]{1,8}: prefix of its bridges, veths, nftables table and cgroup parent. The
   * engine with the standard state root is `gantry`; any other derives one from its root.
   */
  readonly engine: string
  /** Which start of the engine as a whole this is; a service that is started again within it has the same. Absent: nobody says. */
  readonly start?: string
  /** The API's unix socket. */
  readonly socket: string
  /** Absolute, without `.`, `..` and a slash at its end. */
  readonly cgroupParent: string
}

export const DEFAULT_ROOT = '/var/lib/gantry'
export const DEFAULT_RUN = '/run/gantry'

const form = lazy(() => Compile(ConfigFile))

/** Reads GANTRY_CONFIG (a missing file is an empty one), GANTRY_ROOT, GANTRY_RUN and GANTRY_START. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const path = env['GANTRY_CONFIG'] ?? '/etc/gantry/gantry.json'
  const file = readConfigFile(path)
  const root = env['GANTRY_ROOT'] ?? DEFAULT_ROOT
  const run = env['GANTRY_RUN'] ?? DEFAULT_RUN
  const start = env['GANTRY_START']
  const engine = root === DEFAULT_ROOT ? 'gantry' : `g${createHash('sha256').update(root).digest('hex').slice(0, 6)}`
  return {
    ...file,
    node: file.node ?? 'local',
    root,
    run,
    engine,
    ...(start === undefined ? {} : { start }),
    socket: join(run, 'docker.sock'),
    cgroupParent: file.cgroupParent === undefined ? `/${engine}` : groupParent(path, file.cgroupParent),
  }
}

/** One spelling for each parent: paths of groups are compared. The root is nobody's to clean up. */
function groupParent(file: string, given: string): string {
  const parent = posix.join('/', given).replace(/\/+$/, '')
  if (parent !== '' && !given.split('/').includes('..')) return parent
  throw invalid(`${file}: cgroupParent "${given}" is no group below the root: give a path such as "/containers"`)
}

function readConfigFile(path: string): ConfigFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(`${path} is not JSON: ${(error as Error).message}`)
  }
  const compiled = form()
  if (compiled.Check(value)) return value
  const problem = [...compiled.Errors(value)].at(-1)
  throw invalid(`${path}: ${problem?.instancePath || '/'} ${problem?.message ?? 'is not valid'}`)
}
