import type { MountRequest } from '../../../shared/contracts/index.ts'
import { invalid, isKind, notFound } from '../../../shared/errors/index.ts'
import { withDefaults } from '../config/defaults.ts'
import { imageConfig, mergeImage } from '../config/image.ts'
import { parseNetworkMode } from '../config/modes.ts'
import { mountRequests } from '../config/mounts.ts'
import { parseLink } from '../config/options.ts'
import { portRequests } from '../config/ports.ts'
import type { HostConfig } from '../config/schema.ts'
import { parseWish, type Wish } from '../config/wish.ts'
import { INITIAL_STATE, type Container } from '../containers/container.ts'
import { emitContainer } from '../containers/events.ts'
import type { Engine } from '../engine.ts'
import { resolveNetworks } from '../plan/networks.ts'
import { cgroupParent, limitsAnything, resources } from '../plan/requests.ts'
import { checkRequest } from '../plan/run-request.ts'
import type { JobRecord } from './runner.ts'

export interface CreateRequest {
  readonly id: string
  readonly name: string
  readonly platform?: string
  readonly body: Record<string, unknown>
}

/**
 * Makes a container in state `created`. All that can be refused is refused before anything is changed; repeating it with the
 * id of a container that is there returns that one.
 */
export async function create(engine: Engine, request: CreateRequest): Promise<{ id: string; warnings: string[] }> {
  const { id } = request
  return engine.locks.run(id, async () => {
    await engine.gate.passed()
    if (engine.containers.get(id)) return { id, warnings: [] }

    const wish = parseWish(request.body)
    const limits = resources(wish.hostConfig)
    const parent = cgroupParent(wish.hostConfig)
    const run = checkRequest(wish.hostConfig)
    const [image, facilities, limitCheck, endpoints] = await Promise.all([
      engine.lower.storage['image.resolve']({ ref: wish.config.Image ?? '' }),
      engine.facilities.get(),
      parent !== '' || limitsAnything(limits)
        ? engine.lower.cgroup['group.check']({ resources: limits, parent })
        : { warnings: [] },
      resolveNetworks(engine, wish.endpoints),
      run && engine.lower.exec['process.check'](run),
    ])
    checkPlatform(request.platform ?? '', wish.config.Image ?? '', image)
    const config = mergeImage(wish.config, imageConfig(image.config))
    const hostConfig = joinByIds(engine, withDefaults(wish.hostConfig, facilities))
    const links = resolveLinks(engine, hostConfig)
    portRequests(config, hostConfig)
    const mounts = mountRequests(config, hostConfig, volumesFrom(engine, hostConfig.VolumesFrom ?? []))

    let name = ''
    const intent = () => {
      name = engine.containers.reserveName(request.name, id)
    }
    return engine.jobs.run(
      { name: 'create', container: id, arguments: { name: request.name, image: wish.config.Image }, intent },
      async (job) => {
        const rootfs = await job.step(
          'storage.rootfs.create',
          () =>
            engine.lower.storage['rootfs.create']({
              id,
              image: image.id,
              mounts,
              ...(hostConfig.StorageOpt ? { storageOptions: hostConfig.StorageOpt } : {}),
            }),
          () => engine.lower.storage['rootfs.remove']({ id, volumes: true }),
        )
        const container: Container = {
          id,
          name,
          created: new Date().toISOString(),
          image: wish.config.Image ?? '',
          imageId: image.id,
          platform: image.os,
          config,
          hostConfig,
          endpoints,
          links,
          storageDriver: rootfs.driver,
          storageData: rootfs.data,
          mountPoints: rootfs.mountPoints,
          state: INITIAL_STATE,
        }
        const reply = { id, warnings: [...limitCheck.warnings, ...warningsOf(wish)] }
        job.commit(() => {
          engine.containers.put(container)
          emitContainer(engine.store, container, 'create')
        }, reply)
        return reply
      },
      () => engine.containers.releaseNames(id),
    )
  })
}

/** The engine died while it made this container: nobody knows of it yet, so it is taken back. */
export async function recoverCreate(engine: Engine, record: JobRecord): Promise<void> {
  const id = record.container
  if (!engine.containers.get(id)) await engine.lower.storage['rootfs.remove']({ id, volumes: true })
  engine.jobs.close(record, 'failed', 'the engine was restarted while it ran; undone', () => {
    if (!engine.containers.get(id)) engine.containers.releaseNames(id)
  })
}

/** A container that an option of create names. @throws `invalid`, for the reason given at `resolveNetworks`. */
function referredContainer(engine: Engine, ref: string, option: string): Container {
  try {
    return engine.containers.find(ref)
  } catch (error) {
    if (isKind(error, 'not-found')) throw invalid(`${option}: could not get container for ${ref}: ${error.message}`)
    throw error
  }
}

function checkPlatform(platform: string, ref: string, image: { os: string; architecture: string }): void {
  if (platform === '') return
  const [os = '', architecture = image.architecture] = platform.includes('/')
    ? platform.split('/')
    : ['linux', platform]
  const normal: Record<string, string> = { x86_64: 'amd64', aarch64: 'arm64' }
  if (os === image.os && (normal[architecture] ?? architecture) === image.architecture) return
  throw notFound(
    `image with reference ${ref} was found but its platform (${image.os}/${image.architecture}) does not match the ` +
      `specified platform (${platform})`,
  )
}

/**
 * Containers whose namespaces are joined, by their ids, so that a rename does not matter. One that is not there is looked for
 * again at start.
 */
function joinByIds(engine: Engine, hostConfig: HostConfig): HostConfig {
  const byId = (mode: string): string =>
    mode.startsWith('container:') ? `container:${idOrName(engine, mode.slice('container:'.length))}` : mode
  return {
    ...hostConfig,
    NetworkMode: byId(hostConfig.NetworkMode ?? ''),
    PidMode: byId(hostConfig.PidMode ?? ''),
    IpcMode: byId(hostConfig.IpcMode ?? ''),
  }
}

function idOrName(engine: Engine, ref: string): string {
  try {
    return engine.containers.find(ref).id
  } catch (error) {
    if (isKind(error, 'not-found')) return ref
    throw error
  }
}

/** Links of the default bridge, to the containers that have those names now. @throws `invalid`. */
function resolveLinks(engine: Engine, hostConfig: HostConfig): Container['links'] {
  if (parseNetworkMode(hostConfig.NetworkMode ?? '').kind !== 'bridge') return []
  return (hostConfig.Links ?? []).map((text) => {
    const { name, alias } = parseLink(text)
    let target = referredContainer(engine, name, 'Links')
    // Two that join each other, made by their names in turn, will not start; they must not keep us either.
    const seen = new Set<string>()
    for (
      let mode = networkModeOf(target);
      mode.kind === 'container' && !seen.has(target.id);
      mode = networkModeOf(target)
    ) {
      seen.add(target.id)
      target = referredContainer(engine, mode.target, 'Links')
    }
    if (networkModeOf(target).kind === 'host') {
      throw invalid(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      )
    }
    return { id: target.id, name, alias }
  })
}

const networkModeOf = ({ hostConfig }: Container) => parseNetworkMode(hostConfig.NetworkMode ?? '')

/** `container[:ro|rw]`: that container's volumes and bind mounts. @throws `invalid`. */
function volumesFrom(engine: Engine, specs: readonly string[]): MountRequest[] {
  return specs.flatMap((spec) => {
    const [ref = '', mode = 'rw', ...rest] = spec.split(':')
    if (ref === '' || rest.length > 0 || !mode.split(',').every((w) => ['ro', 'rw', 'z', 'Z'].includes(w))) {
      throw invalid(`invalid volumes-from specification: "${spec}": want <container>[:ro|rw]`)
    }
    const readOnly = mode.split(',').includes('ro')
    return referredContainer(engine, ref, 'VolumesFrom').mountPoints.flatMap((point): MountRequest[] => {
      const common = { target: point.Destination, readOnly: readOnly || !point.RW, mode: point.Mode }
      if (point.Type === 'bind') return [{ type: 'bind', source: point.Source, createSource: true, ...common }]
      if (point.Type !== 'volume') return []
      return [{ type: 'volume', source: point.Name ?? '', volumeDriver: point.Driver ?? 'local', ...common }]
    })
  })
}

function warningsOf({ hostConfig }: Wish): string[] {
  const mode = parseNetworkMode(hostConfig.NetworkMode ?? '').kind
  const publishes = Object.keys(hostConfig.PortBindings ?? {}).length > 0 || hostConfig.PublishAllPorts
  return mode === 'host' && publishes ? ['Published ports are discarded when using host network mode'] : []
}
