import { posix } from 'node:path'
import type { ProcessSpec } from '../../../shared/contracts/index.ts'
import { DEFAULT_PATH } from './defaults.ts'
import type { ResolvedUser } from './users.ts'

/** `process` of the OCI runtime specification, the part that containers and exec sessions have in common. */
export interface OciProcess {
  readonly terminal: boolean
  readonly consoleSize?: { readonly height: number; readonly width: number }
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly capabilities: Readonly<Record<string, readonly string[]>>
  readonly noNewPrivileges: boolean
  readonly rlimits?: readonly { type: string; soft: number; hard: number }[]
  readonly oomScoreAdj?: number
}

/** Plans a process; `hostname` becomes HOSTNAME where it is not empty. */
export function planProcess(
  spec: ProcessSpec,
  user: ResolvedUser,
  capabilities: readonly string[],
  hostname: string,
): OciProcess {
  const [rows, columns] = spec.consoleSize ?? []
  return {
    terminal: spec.tty,
    ...(spec.tty && rows !== undefined && columns !== undefined && rows > 0 && columns > 0
      ? { consoleSize: { height: rows, width: columns } }
      : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: spec.args,
    env: planEnv(spec, user.home, hostname),
    cwd: spec.cwd === '' ? '/' : posix.resolve('/', spec.cwd),
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    noNewPrivileges: spec.noNewPrivileges,
  }
}

/** Docker's: PATH, HOSTNAME, TERM on a terminal, then what the user says, which wins; HOME from the passwd file at last. */
function planEnv(spec: ProcessSpec, home: string, hostname: string): string[] {
  const env = new Map<string, string>([['PATH', `PATH=${DEFAULT_PATH}`]])
  if (hostname !== '') env.set('HOSTNAME', `HOSTNAME=${hostname}`)
  if (spec.tty) env.set('TERM', 'TERM=xterm')
  for (const entry of spec.env) {
    const at = entry.indexOf('=')
    const name = at === -1 ? entry : entry.slice(0, at)
    // A name alone takes the variable away.
    if (at === -1) env.delete(name)
    else env.set(name, entry)
  }
  if (!env.has('HOME')) env.set('HOME', `HOME=${home}`)
  return [...env.values()]
}
