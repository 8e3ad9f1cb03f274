import { invalid } from '../../../shared/errors/index.ts'

/** passwd(5) and group(5) of a container; empty where there is none. */
export interface UserDatabase {
  readonly passwd: string
  readonly group: string
}

export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  readonly additionalGids: readonly number[]
  readonly home: string
}

interface PasswdEntry {
  name: string
  uid: number
  gid: number
  home: string
}

interface GroupEntry {
  name: string
  gid: number
  members: string[]
}

const MAX_ID = 2 ** 31 - 1

/**
 * Who a process runs as. `user` is `name|uid[:group|gid]`, empty for root. A number need not be in the passwd file; a name must
 * be. Supplementary groups are those that list the user (unless a group was given) and `groupAdd`.
 */
export function resolveUser(user: string, groupAdd: readonly string[], database: UserDatabase): ResolvedUser {
  const [userPart = '', groupPart = ''] = splitOnce(user, ':')
  const passwd = parsePasswd(database.passwd)
  const groups = parseGroup(database.group)

  const wanted = userPart === '' ? '0' : userPart
  const entry = passwd.find((e) => e.name === wanted) ?? passwd.find((e) => String(e.uid) === wanted)
  const number = parseId(wanted)
  if (!entry && number === undefined) {
    throw invalid(`unable to find user ${wanted}: no matching entries in passwd file`)
  }
  const uid = entry?.uid ?? number ?? 0
  const supplementary: number[] = []
  let gid = entry?.gid ?? 0
  if (groupPart === '') {
    const name = entry?.name
    if (name !== undefined) for (const g of groups) if (g.members.includes(name)) supplementary.push(g.gid)
  } else {
    gid = findGroup(groupPart, groups)
  }
  const added = groupAdd.map((name) => findGroup(name, groups))
  return {
    uid,
    gid,
    additionalGids: [...new Set([gid, ...supplementary, ...added])],
    home: entry?.home === undefined || entry.home === '' ? '/' : entry.home,
  }
}

function findGroup(wanted: string, groups: readonly GroupEntry[]): number {
  const found = groups.find((g) => g.name === wanted)?.gid ?? parseId(wanted)
  if (found === undefined) throw invalid(`unable to find group ${wanted}: no matching entries in group file`)
  return found
}

function parseId(text: string): number | undefined {
  if (!/^-?\d+$/.test(text)) return undefined
  const value = Number(text)
  if (value < 0 || value > MAX_ID) throw invalid(`uids and gids must be in range 0-${MAX_ID}: ${text}`)
  return value
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator)
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function* lines(text: string): Generator<string[]> {
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed !== '' && !trimmed.startsWith('#')) yield trimmed.split(':')
  }
}

function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = []
  for (const [name = '', , uid = '', gid = '', , home = ''] of lines(text)) {
    entries.push({ name, uid: Number(uid) || 0, gid: Number(gid) || 0, home })
  }
  return entries
}

function parseGroup(text: string): GroupEntry[] {
  const entries: GroupEntry[] = []
  for (const [name = '', , gid = '', members = ''] of lines(text)) {
    entries.push({ name, gid: Number(gid) || 0, members: members.split(',') })
  }
  return entries
}
