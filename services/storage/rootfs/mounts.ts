import { posix } from 'node:path'
import type { Mount, MountPoint, MountRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'

/** A mount that was asked for, with what became of it: the volume's name, and whether it was made for this container. */
export interface ResolvedMount extends MountRequest {
  readonly volume?: string
  readonly anonymous?: boolean
}

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']

const bad = (request: MountRequest, why: string): Error =>
  invalid(`invalid mount config for type "${request.type}": ${why}`)

/** Checks what can be checked without looking at the disk, and cleans paths. `invalid` in Docker's words. */
export function checkMounts(requests: readonly MountRequest[]): MountRequest[] {
  const targets = new Set<string>()
  return requests.map((request) => {
    const target = checkTarget(request)
    if (targets.has(target)) throw invalid(`Duplicate mount point: ${target}`)
    targets.add(target)
    if (request.propagation && request.type !== 'bind') throw bad(request, 'field BindOptions must not be specified')
    if (request.propagation && !PROPAGATIONS.includes(request.propagation)) {
      throw bad(request, `invalid propagation mode: ${request.propagation}`)
    }
    if (request.type === 'tmpfs') tmpfsOptions(request)
    if (request.type !== 'bind') return { ...request, target }
    if (request.source === '') throw bad(request, 'field Source must not be empty')
    if (!request.source.startsWith('/')) {
      throw bad(request, `invalid mount path: '${request.source}' mount path must be absolute`)
    }
    return { ...request, target, source: clean(request.source) }
  })
}

function checkTarget(request: MountRequest): string {
  if (request.target === '') throw bad(request, 'field Target must not be empty')
  if (!request.target.startsWith('/')) {
    throw bad(request, `invalid mount path: '${request.target}' mount path must be absolute`)
  }
  const target = clean(request.target)
  if (target === '/') throw bad(request, "invalid specification: destination can't be '/'")
  return target
}

const clean = (path: string): string => posix.normalize(path).replace(/(.)\/$/, '$1')

export const sourceMissing = (request: MountRequest): Error =>
  bad(request, `bind source path does not exist: ${request.source}`)

/** As inspect shows it. `source` is a volume's directory. */
export function mountPoint(mount: ResolvedMount, source: string, driver: string): MountPoint {
  const common = { Destination: mount.target, Mode: mount.mode ?? '', RW: !mount.readOnly }
  switch (mount.type) {
    case 'bind':
      return { Type: 'bind', Source: mount.source, ...common, Propagation: mount.propagation || 'rprivate' }
    case 'volume':
      return { Type: 'volume', Name: mount.volume ?? '', Source: source, Driver: driver, ...common, Propagation: '' }
    case 'tmpfs':
      return { Type: 'tmpfs', Source: '', ...common, Propagation: '' }
  }
}

/** In the form of the OCI runtime specification. `source` is a volume's directory. */
export function ociMount(mount: ResolvedMount, source: string): Mount {
  if (mount.type === 'tmpfs') {
    return { type: 'tmpfs', source: 'tmpfs', destination: mount.target, options: tmpfsOptions(mount) }
  }
  return {
    type: 'bind',
    source: mount.type === 'bind' ? mount.source : source,
    destination: mount.target,
    options: [mount.nonRecursive ? 'bind' : 'rbind', mount.propagation || 'rprivate', readOnlyOption(mount)],
  }
}

/** `rro` makes what is mounted below read-only too, which `ro` does not. */
const readOnlyOption = (mount: ResolvedMount): string => {
  if (!mount.readOnly) return 'rw'
  return mount.nonRecursive || mount.readOnlyNonRecursive ? 'ro' : 'rro'
}

/** Mounts whose targets lie within others come after them; otherwise the order stays. */
export const byDepth = (mounts: readonly Mount[]): Mount[] =>
  mounts.toSorted((a, b) => a.destination.split('/').length - b.destination.split('/').length)

const TMPFS_DEFAULTS = ['noexec', 'nosuid', 'nodev']

/** Each option with its opposite: the later one counts. */
const OPPOSITES: Readonly<Record<string, string>> = {
  noexec: 'exec',
  nosuid: 'suid',
  nodev: 'dev',
  ro: 'rw',
  noatime: 'atime',
  nodiratime: 'diratime',
  relatime: 'norelatime',
  strictatime: 'nostrictatime',
  sync: 'async',
  mand: 'nomand',
}
const FLAGS = new Set([...Object.keys(OPPOSITES), ...Object.values(OPPOSITES), 'dirsync', 'bind', 'rbind'])
const VALUES = ['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol', 'huge']

/** Docker's defaults with the user's options on top; `invalid` names an unknown one. */
function tmpfsOptions(mount: MountRequest): string[] {
  let options = [...TMPFS_DEFAULTS, 'rprivate', ...(mount.readOnly ? ['ro'] : [])]
  for (const option of (mount.tmpfsOptions ?? '').split(',').filter(Boolean)) {
    const name = option.split('=')[0] ?? ''
    const known = option.includes('=') ? VALUES.includes(name) : FLAGS.has(option) || PROPAGATIONS.includes(option)
    if (!known) throw invalid(`invalid tmpfs option ${JSON.stringify(option)}`)
    options = options.filter((other) => !replaces(option, name, other))
    options.push(option)
  }
  return options
}

function replaces(option: string, name: string, other: string): boolean {
  if (option.includes('=')) return other.startsWith(`${name}=`)
  if (PROPAGATIONS.includes(option)) return PROPAGATIONS.includes(other)
  return other === option || OPPOSITES[other] === option || OPPOSITES[option] === other
}
