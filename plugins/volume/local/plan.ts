import { invalid } from '../../../shared/errors/index.ts'
import { MS } from '../../../shared/kernel/mounts.ts'

/** Planner: from a volume's options to the arguments of mount(2). No system calls here. */
export interface MountPlan {
  readonly type: string
  readonly device: string
  readonly flags: number
  /** Options that are the file system's own. */
  readonly data: string
}

/** Options of mount(8) that are flags: set, or (after the tilde) cleared. */
const FLAGS: Readonly<Record<string, readonly [number, boolean]>> = {
  defaults: [0, true],
  ro: [MS.rdonly, true],
  rw: [MS.rdonly, false],
  nosuid: [MS.nosuid, true],
  suid: [MS.nosuid, false],
  nodev: [MS.nodev, true],
  dev: [MS.nodev, false],
  noexec: [MS.noexec, true],
  exec: [MS.noexec, false],
  sync: [MS.synchronous, true],
  async: [MS.synchronous, false],
  dirsync: [MS.dirsync, true],
  mand: [MS.mandlock, true],
  nomand: [MS.mandlock, false],
  noatime: [MS.noatime, true],
  atime: [MS.noatime, false],
  nodiratime: [MS.nodiratime, true],
  diratime: [MS.nodiratime, false],
  relatime: [MS.relatime, true],
  norelatime: [MS.relatime, false],
  strictatime: [MS.strictatime, true],
  nostrictatime: [MS.strictatime, false],
  bind: [MS.bind, true],
  rbind: [MS.bind | MS.rec, true],
}

const NAMES = ['type', 'o', 'device']

/** Undefined: a plain directory. `invalid` names the option that is wrong or missing. */
export function planMount(options: Readonly<Record<string, string>>): MountPlan | undefined {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) throw invalid(`invalid option: "${name}" (the local driver has: ${NAMES.join(', ')})`)
  }
  const { type = '', o = '', device = '' } = options
  if (type === '' && o === '' && device === '') return undefined
  const { flags, data } = parseOptions(o)
  const bind = (flags & MS.bind) !== 0
  if (device === '') throw invalid('missing required option: "device"')
  if (type === '' && !bind) throw invalid('missing required option: "type"')
  if (bind && !device.startsWith('/'))
    throw invalid(`the device of a bind volume must be an absolute path: "${device}"`)
  return { type: bind ? 'none' : type, device, flags, data: data.join(',') }
}

function parseOptions(text: string): { flags: number; data: string[] } {
  let flags = 0
  const data: string[] = []
  for (const option of text.split(',').filter(Boolean)) {
    const known = FLAGS[option]
    if (!known) data.push(option)
    else if (known[1]) flags |= known[0]
    else flags &= ~known[0]
  }
  return { flags, data }
}

/** The server's name in `addr=`, which the kernel wants as an address. */
export const serverOf = (plan: MountPlan): string | undefined =>
  plan.data
    .split(',')
    .find((option) => option.startsWith('addr='))
    ?.slice('addr='.length)

export const withServer = (plan: MountPlan, address: string): MountPlan => ({
  ...plan,
  data: plan.data
    .split(',')
    .map((option) => (option.startsWith('addr=') ? `addr=${address}` : option))
    .join(','),
})
