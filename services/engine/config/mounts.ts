import { posix } from 'node:path'
import type { MountRequest } from '../../../shared/contracts/storage.ts'
import { invalid, notImplemented } from '../../../shared/errors/index.ts'
import type { Config, HostConfig, MountSpec } from './schema.ts'

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
const PROPAGATIONS = new Set(['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'])
const IGNORED_MODES = new Set(['z', 'Z', 'consistent', 'cached', 'delegated'])

/**
 * Every mount that a container asks for. Later kinds win over earlier ones at the same place only where Docker lets
 * them: Config.Volumes gives way to all, VolumesFrom to Binds, Mounts and Tmpfs; two of the latter clash.
 *
 * @param inherited what VolumesFrom gives, already in the form of requests.
 * @throws `invalid` in Docker's words.
 */
export function mountRequests(
  config: Config,
  hostConfig: HostConfig,
  inherited: readonly MountRequest[],
): MountRequest[] {
  const own = new Map<string, MountRequest>()
  const add = (mount: MountRequest) => {
    if (own.has(mount.target)) throw invalid(`Duplicate mount point: ${mount.target}`)
    own.set(mount.target, mount)
  }
  for (const bind of hostConfig.Binds ?? []) add(parseBind(bind, hostConfig.VolumeDriver ?? ''))
  for (const mount of hostConfig.Mounts ?? []) add(parseMount(mount))
  for (const [target, options] of Object.entries(hostConfig.Tmpfs ?? {}))
    add(tmpfs(cleanTarget(target, target), options))
  for (const mount of inherited) if (!own.has(mount.target)) own.set(mount.target, mount)
  for (const text of Object.keys(config.Volumes ?? {})) {
    const target = cleanTarget(text, text)
    if (own.has(target)) continue
    own.set(target, { type: 'volume', source: '', target, readOnly: false, ...driver(hostConfig.VolumeDriver ?? '') })
  }
  return [...own.values()]
}

const driver = (name: string) => (name === '' ? {} : { volumeDriver: name })

const tmpfs = (target: string, options: string): MountRequest => ({
  type: 'tmpfs',
  source: '',
  target,
  readOnly: options.split(',').includes('ro'),
  tmpfsOptions: options,
})

function cleanTarget(target: string, spec: string): string {
  if (!target.startsWith('/')) {
    throw invalid(
      `invalid volume specification: '${spec}': invalid mount path: '${target}' mount path must be absolute`,
    )
  }
  const clean = posix.normalize(target).replace(/(.)\/$/, '$1')
  if (clean === '/')
    throw invalid(`invalid volume specification: '${spec}': invalid specification: destination can't be '/'`)
  return clean
}

/** `[source:]target[:options]` of `-v`. */
export function parseBind(spec: string, volumeDriver: string): MountRequest {
  const bad = (why: string) => invalid(`invalid volume specification: '${spec}'${why === '' ? '' : `: ${why}`}`)
  const parts = spec.split(':')
  if (parts.length > 3 || parts.some((p) => p === '')) throw bad('')
  const [source, target, mode] = parts.length === 1 ? ['', parts[0]!, ''] : [parts[0]!, parts[1]!, parts[2] ?? '']
  if (parts.length === 2 && !target.startsWith('/') && isMode(target)) throw bad('')
  const destination = cleanTarget(target, spec)
  const options = parseMode(mode, bad)
  const common = { target: destination, readOnly: options.readOnly, mode }
  if (source.startsWith('/')) {
    if (options.noCopy) throw bad(`invalid mode: ${mode}`)
    const propagation = options.propagation === undefined ? {} : { propagation: options.propagation }
    return { type: 'bind', source: posix.normalize(source), ...common, createSource: true, ...propagation }
  }
  if (source !== '' && !VOLUME_NAME.test(source)) {
    throw invalid(
      `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" ` +
        'are allowed. If you intended to pass a host directory, use absolute path',
    )
  }
  if (options.propagation !== undefined) throw bad(`invalid mode: ${mode}`)
  return { type: 'volume', source, ...common, ...(options.noCopy ? { noCopy: true } : {}), ...driver(volumeDriver) }
}

interface Mode {
  readOnly: boolean
  noCopy: boolean
  propagation: string | undefined
}

const isMode = (text: string): boolean =>
  text.split(',').every((w) => ['ro', 'rw', 'nocopy'].includes(w) || PROPAGATIONS.has(w) || IGNORED_MODES.has(w))

function parseMode(text: string, bad: (why: string) => Error): Mode {
  const mode: Mode = { readOnly: false, noCopy: false, propagation: undefined }
  if (text === '') return mode
  if (!isMode(text)) throw bad(`invalid mode: ${text}`)
  const words = text.split(',')
  if (words.includes('ro') && words.includes('rw')) throw bad(`invalid mode: ${text}`)
  for (const word of words) {
    if (word === 'ro') mode.readOnly = true
    else if (word === 'nocopy') mode.noCopy = true
    else if (PROPAGATIONS.has(word)) mode.propagation = word
  }
  return mode
}

/** One of HostConfig.Mounts (`--mount`). */
export function parseMount(spec: MountSpec): MountRequest {
  const bad = (why: string) => invalid(`invalid mount config for type "${spec.Type}": ${why}`)
  if (!spec.Target) throw bad('field Target must not be empty')
  if (!spec.Target.startsWith('/')) throw bad(`invalid mount path: '${spec.Target}' mount path must be absolute`)
  const target = posix.normalize(spec.Target).replace(/(.)\/$/, '$1')
  if (target === '/') throw bad("invalid specification: destination can't be '/'")
  const source = spec.Source ?? ''
  const common = { target, readOnly: spec.ReadOnly ?? false, mode: '' }
  const only = (option: 'BindOptions' | 'VolumeOptions' | 'TmpfsOptions' | 'ImageOptions') => {
    for (const other of ['BindOptions', 'VolumeOptions', 'TmpfsOptions', 'ImageOptions'] as const) {
      if (other !== option && spec[other] !== undefined) throw bad(`field ${other} must not be specified`)
    }
  }
  switch (spec.Type) {
    case 'bind': {
      only('BindOptions')
      if (source === '') throw bad('field Source must not be empty')
      if (!source.startsWith('/')) throw bad(`invalid mount path: '${source}' mount path must be absolute`)
      const options = spec.BindOptions ?? {}
      if (options.Propagation && !PROPAGATIONS.has(options.Propagation)) {
        throw bad(`invalid propagation mode: ${options.Propagation}`)
      }
      // A read-only mount is recursively so unless it is said otherwise: forcing changes nothing.
      if (options.ReadOnlyForceRecursive && options.ReadOnlyNonRecursive) {
        throw bad('mutually exclusive options: ReadOnlyForceRecursive and ReadOnlyNonRecursive')
      }
      return {
        type: 'bind',
        source: posix.normalize(source),
        ...common,
        createSource: options.CreateMountpoint ?? false,
        ...(options.Propagation ? { propagation: options.Propagation } : {}),
        ...(options.NonRecursive ? { nonRecursive: true } : {}),
        ...(options.ReadOnlyNonRecursive ? { readOnlyNonRecursive: true } : {}),
      }
    }
    case 'volume': {
      only('VolumeOptions')
      if (source !== '' && !VOLUME_NAME.test(source)) {
        throw bad(
          `"${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed`,
        )
      }
      const options = spec.VolumeOptions ?? {}
      if (options.Subpath) throw notImplemented('VolumeOptions.Subpath is not implemented: mount the whole volume')
      return {
        type: 'volume',
        source,
        ...common,
        ...(options.NoCopy ? { noCopy: true } : {}),
        ...(options.Labels ? { volumeLabels: options.Labels } : {}),
        ...(options.DriverConfig?.Name ? { volumeDriver: options.DriverConfig.Name } : {}),
        ...(options.DriverConfig?.Options ? { volumeOptions: options.DriverConfig.Options } : {}),
      }
    }
    case 'tmpfs': {
      only('TmpfsOptions')
      if (source !== '') throw bad('field Source must not be specified')
      return { ...tmpfs(target, tmpfsText(spec)), readOnly: common.readOnly }
    }
    case 'image':
      throw notImplemented('mounts of type "image" are not implemented')
    case 'npipe':
    case 'cluster':
      throw invalid(`mount type "${spec.Type}" is not supported on this platform`)
    default:
      throw invalid(`invalid mount config: mount type unknown: "${spec.Type}"`)
  }
}

/** TmpfsOptions as mount(8) options. */
function tmpfsText(spec: MountSpec): string {
  const { SizeBytes = 0, Mode, Options = [] } = spec.TmpfsOptions ?? {}
  if (SizeBytes < 0) throw invalid(`invalid mount config for type "tmpfs": field SizeBytes must not be negative`)
  const words = Options.map(([name, value]) => (value === undefined ? (name ?? '') : `${name}=${value}`))
  if (SizeBytes > 0) words.push(`size=${SizeBytes}`)
  if (Mode !== undefined && Mode !== 0) words.push(`mode=${Mode.toString(8)}`)
  return words.join(',')
}
