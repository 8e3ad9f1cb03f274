import { chmodSync, chownSync, lstatSync, readFileSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { conflict } from '../../../shared/errors/index.ts'

/**
 * Makes way for a socket at `path`: one that a killed process left is removed.
 * @throws conflict when somebody listens on it, or when it is no socket
 */
export async function clearSocket(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats) return
  if (!stats.isSocket()) throw conflict(`${path} is there and is not a socket: move it away`)
  if (await answers(path)) throw conflict(`another engine listens on ${path}: stop it, or choose another run directory`)
  unlinkSync(path)
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(path)
    const done = (live: boolean) => () => {
      probe.destroy()
      resolve(live)
    }
    probe.once('connect', done(true)).once('error', done(false))
  })

/** Mode 0660, owned by root and the given group. Returns a warning when that group is asked for and not there. */
export function protectSocket(path: string, group: string | undefined): string | undefined {
  const gid = groupId(group ?? 'docker')
  chmodSync(path, 0o660)
  if (gid !== undefined && process.getuid?.() === 0) chownSync(path, 0, gid)
  if (gid === undefined && group !== undefined) {
    return `socketGroup: there is no group "${group}"; only root can use ${path} (groupadd --system ${group})`
  }
  return undefined
}

/** group(5): name:password:gid:members */
function groupId(name: string): number | undefined {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((l) => l.startsWith(`${name}:`))
  return line === undefined ? undefined : Number(line.split(':')[2])
}
