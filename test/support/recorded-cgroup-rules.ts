import { dirname, join } from 'node:path'
import { errno, type RecordedCgroups } from './recorded-cgroups.ts'

type Rule = (tree: RecordedCgroups, dir: string, value: string) => void

const UNLIMITED = '9223372036854771712'

const number = (value: string): number => {
  if (!/^-?\d+$/.test(value)) throw errno('EINVAL', value)
  return Number(value)
}

const within =
  (file: string, min: number, max: number): Rule =>
  (tree, dir, value) => {
    const n = number(value)
    if (n < min || n > max) throw errno('EINVAL', `${file} ${value}`)
    tree.set(join(dir, file), value)
  }

/** v1: memory and memory+swap, the first never above the second (mm/memcontrol-v1.c). */
const memoryPair =
  (file: string, other: string, valid: (own: number, other: number) => boolean): Rule =>
  (tree, dir, value) => {
    const text = number(value) === -1 ? UNLIMITED : value
    if (!valid(Number(text), Number(tree.get(join(dir, other))))) throw errno('EINVAL', `${file} ${value}`)
    tree.set(join(dir, file), text)
  }

/** A CPU set lies within its parent's (kernel/cgroup/cpuset.c). */
const cpuset =
  (file: string): Rule =>
  (tree, dir, value) => {
    const numbers = (text: string): number[] =>
      text.split(',').flatMap((part) => {
        const [from, to] = part.split('-').map(Number)
        return Array.from({ length: (to ?? from ?? 0) - (from ?? 0) + 1 }, (_, i) => (from ?? 0) + i)
      })
    if (value === '') return tree.set(join(dir, file), '')
    const above = tree.get(join(dirname(dir), file)) || (tree.kind === 'v2' ? '0-1' : '')
    const allowed = above === '' ? [] : numbers(above)
    if (numbers(value).some((n) => !allowed.includes(n))) throw errno('EACCES', `${file} ${value}`)
    tree.set(join(dir, file), value)
  }

/** Lines of `major:minor value`; a value of 0 takes the line away. */
const perDevice =
  (file: string): Rule =>
  (tree, dir, value) => {
    const [device, amount] = value.split(' ')
    if (!/^\d+:\d+$/.test(device ?? '') || !/^\d+$/.test(amount ?? '')) throw errno('EINVAL', `${file} ${value}`)
    const lines = tree
      .get(join(dir, file))
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(`${device} `))
    tree.set(join(dir, file), [...lines, ...(amount === '0' ? [] : [value])].join('\n'))
  }

const ioMax: Rule = (tree, dir, value) => {
  const [device = '', ...pairs] = value.split(' ')
  const file = join(dir, 'io.max')
  const lines = new Map(
    tree
      .get(file)
      .split('\n')
      .map((line) => [line.split(' ')[0] ?? '', line] as const),
  )
  lines.delete('')
  const keys = new Map(['rbps', 'wbps', 'riops', 'wiops'].map((key) => [key, 'max']))
  for (const pair of [...(lines.get(device)?.split(' ').slice(1) ?? []), ...pairs]) {
    const [key = '', amount = ''] = pair.split('=')
    if (!keys.has(key) || !/^(max|[1-9]\d*)$/.test(amount)) throw errno('EINVAL', `io.max ${value}`)
    keys.set(key, amount)
  }
  if ([...keys.values()].every((amount) => amount === 'max')) lines.delete(device)
  else lines.set(device, `${device} ${[...keys].map(([key, amount]) => `${key}=${amount}`).join(' ')}`)
  tree.set(file, [...lines.values()].join('\n'))
}

const cpuMax: Rule = (tree, dir, value) => {
  const [quota = '', period = '100000'] = value.split(' ')
  if (quota !== 'max' && number(quota) < 1000) throw errno('EINVAL', `cpu.max ${value}`)
  if (number(period) < 1000 || number(period) > 1_000_000) throw errno('EINVAL', `cpu.max ${value}`)
  tree.set(join(dir, 'cpu.max'), `${quota} ${period}`)
}

const pidsMax: Rule = (tree, dir, value) => {
  if (value !== 'max' && (number(value) < 0 || number(value) > 4_194_304)) throw errno('EINVAL', `pids.max ${value}`)
  tree.set(join(dir, 'pids.max'), value)
}

const bytesOrMax =
  (file: string): Rule =>
  (tree, dir, value) => {
    if (value !== 'max' && number(value) < 0) throw errno('EINVAL', `${file} ${value}`)
    tree.set(join(dir, file), value)
  }

/** A v2 group with controllers handed down has no processes of its own; the root may (cgroup-v2.rst, "No Internal Process Constraint"). */
const subtreeControl: Rule = (tree, dir, value) => {
  const available = tree.get(join(dir, 'cgroup.controllers')).split(/\s+/)
  const file = join(dir, 'cgroup.subtree_control')
  const enabled = new Set(
    tree
      .get(file)
      .split(/\s+/)
      .filter((c) => c !== ''),
  )
  const names = value.split(' ').map((word) => word.slice(1))
  for (const name of names) if (!available.includes(name)) throw errno('ENOENT', `${file} ${value}`)
  if (dir !== tree.root && tree.procs(dir).length > 0) throw errno('EBUSY', `${file} ${value}`)
  for (const name of names) enabled.add(name)
  tree.set(file, [...enabled].join(' '))
  for (const name of names) tree.handDown(dir, name)
}

const freeze: Rule = (tree, dir, value) => {
  tree.set(join(dir, 'cgroup.freeze'), value)
  const events = join(dir, 'cgroup.events')
  tree.set(events, tree.get(events).replace(/frozen \d/, `frozen ${value}`))
}

const killAll: Rule = (tree, dir) => {
  for (const name of tree.children(dir)) killAll(tree, join(dir, name), '1')
  for (const pid of tree.procs(dir)) tree.kill(Number(pid))
}

const procs: Rule = (tree, dir, value) => {
  const cpus = join(dir, 'cpuset.mems')
  if (tree.kind !== 'v2' && tree.exists(cpus) && tree.get(cpus) === '')
    throw errno('ENOSPC', `${dir} has an empty cpuset`)
  tree.setProcs(dir, [...tree.procs(dir), value])
}

const oomControl: Rule = (tree, dir, value) => {
  const file = join(dir, 'memory.oom_control')
  tree.set(file, tree.get(file).replace(/oom_kill_disable \d/, `oom_kill_disable ${value}`))
}

const freezerState: Rule = (tree, dir, value) => {
  if (value !== 'FROZEN' && value !== 'THAWED') throw errno('EINVAL', `freezer.state ${value}`)
  tree.set(join(dir, 'freezer.state'), value)
}

/** `default 100`, `8:0 200`, `8:0 default` */
const weights =
  (file: string, max: number): Rule =>
  (tree, dir, value) => {
    const [key = '', weight = ''] = value.includes(' ') ? value.split(' ') : ['default', value]
    if (weight !== 'default' && (number(weight) < 1 || number(weight) > max)) throw errno('EINVAL', `${file} ${value}`)
    const lines = tree
      .get(join(dir, file))
      .split('\n')
      .filter((line) => !line.startsWith(`${key} `))
    tree.set(
      join(dir, file),
      [...lines, ...(weight === 'default' ? [] : [`${key} ${weight}`])].sort().reverse().join('\n'),
    )
  }

const RULES: Readonly<Record<string, Rule>> = {
  'memory.limit_in_bytes': memoryPair(
    'memory.limit_in_bytes',
    'memory.memsw.limit_in_bytes',
    (own, other) => own <= other,
  ),
  'memory.memsw.limit_in_bytes': memoryPair(
    'memory.memsw.limit_in_bytes',
    'memory.limit_in_bytes',
    (own, other) => own >= other,
  ),
  'memory.swappiness': within('memory.swappiness', 0, 200),
  'memory.oom_control': oomControl,
  'cpu.shares': within('cpu.shares', 2, 262_144),
  'cpu.weight': within('cpu.weight', 1, 10_000),
  'cpu.cfs_period_us': within('cpu.cfs_period_us', 1000, 1_000_000),
  'cpu.cfs_quota_us': (tree, dir, value) => {
    if (value !== '-1' && number(value) < 1000) throw errno('EINVAL', `cpu.cfs_quota_us ${value}`)
    tree.set(join(dir, 'cpu.cfs_quota_us'), value)
  },
  'cpu.max': cpuMax,
  'cpuset.cpus': cpuset('cpuset.cpus'),
  'cpuset.mems': cpuset('cpuset.mems'),
  'pids.max': pidsMax,
  'memory.max': bytesOrMax('memory.max'),
  'memory.low': bytesOrMax('memory.low'),
  'memory.swap.max': bytesOrMax('memory.swap.max'),
  'io.max': ioMax,
  'io.bfq.weight': weights('io.bfq.weight', 1000),
  'blkio.bfq.weight': within('blkio.bfq.weight', 1, 1000),
  'blkio.bfq.weight_device': perDevice('blkio.bfq.weight_device'),
  'blkio.throttle.read_bps_device': perDevice('blkio.throttle.read_bps_device'),
  'blkio.throttle.write_bps_device': perDevice('blkio.throttle.write_bps_device'),
  'blkio.throttle.read_iops_device': perDevice('blkio.throttle.read_iops_device'),
  'blkio.throttle.write_iops_device': perDevice('blkio.throttle.write_iops_device'),
  'freezer.state': freezerState,
  'cgroup.subtree_control': subtreeControl,
  'cgroup.freeze': freeze,
  'cgroup.kill': killAll,
  'cgroup.procs': procs,
}

/** What the kernel does on a write to a file of this name; without a rule the value is kept. */
export const rulesFor = (name: string): Rule | undefined => RULES[name]
