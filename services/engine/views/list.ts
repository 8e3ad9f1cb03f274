import type { Filters } from '../../../shared/contracts/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import { commandLine, type Container } from '../containers/container.ts'
import type { Engine } from '../engine.ts'
import { humanDuration } from './duration.ts'
import { listFilter } from './filters.ts'
import { isRunning, timeOf } from './inspect.ts'
import { networksOf, portList } from './network-settings.ts'

export interface ListRequest {
  readonly all: boolean
  readonly size: boolean
  /** 0 or less: no limit. */
  readonly limit: number
  readonly filters: Filters
}

/** Filters that ask about containers that do not run, too. */
const IMPLY_ALL = ['status', 'exited', 'before', 'since', 'health']

/** Docker's ContainerSummary[], newest first. */
export async function list(engine: Engine, request: ListRequest): Promise<Record<string, unknown>[]> {
  const { filters, limit } = request
  const chosen = await listFilter(filters, {
    containers: engine.containers,
    imageIds: (ref) => imageIds(engine, ref),
    networkIds: (ref) => networkIds(engine, ref),
  })
  const all = request.all || limit > 0 || IMPLY_ALL.some((name) => (filters[name]?.length ?? 0) > 0)
  const found = engine.containers
    .all()
    .reverse()
    .filter((c) => (all || isRunning(c)) && chosen(c))
    .slice(0, limit > 0 ? limit : undefined)
  return Promise.all(found.map((c) => summary(engine, c, request.size)))
}

/** An image and all that are built on it, as far as storage knows their parents. */
async function imageIds(engine: Engine, ref: string): Promise<ReadonlySet<string>> {
  try {
    const [image, all] = await Promise.all([
      engine.lower.storage['image.resolve']({ ref }),
      engine.lower.storage['image.list']({ all: true, filters: {} }),
    ])
    const ids = new Set([image.id])
    for (let before = 0; before !== ids.size;) {
      before = ids.size
      for (const { Id, ParentId } of all) if (ids.has(String(ParentId))) ids.add(String(Id))
    }
    return ids
  } catch (error) {
    if (isKind(error, 'not-found')) return new Set()
    throw error
  }
}

async function networkIds(engine: Engine, ref: string): Promise<ReadonlySet<string>> {
  try {
    const network = await engine.lower.network['network.inspect']({ ref })
    return new Set([String(network['Id'])])
  } catch (error) {
    if (isKind(error, 'not-found')) return new Set()
    throw error
  }
}

async function summary(engine: Engine, container: Container, size: boolean): Promise<Record<string, unknown>> {
  const sizes = size ? await engine.lower.storage['rootfs.size']({ id: container.id }) : undefined
  const health = container.state.health
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: container.image,
    ImageID: container.imageId,
    Command: quoted(commandLine(container)),
    Created: Math.floor(Date.parse(container.created) / 1000),
    Ports: portList(container),
    ...(sizes ? { SizeRw: sizes.rw, SizeRootFs: sizes.total } : {}),
    Labels: container.config.Labels ?? {},
    State: container.state.status,
    Status: statusText(container),
    HostConfig: { NetworkMode: container.hostConfig.NetworkMode },
    ...(health ? { Health: { Status: health.Status, FailingStreak: health.FailingStreak } } : {}),
    NetworkSettings: { Networks: networksOf(container) },
    Mounts: container.mountPoints,
  }
}

const quoted = (args: readonly string[]): string =>
  args.map((a) => (/[\s']/.test(a) ? `'${a.replaceAll("'", "'\\''")}'` : a)).join(' ')

/** The text of `docker ps`'s STATUS column. */
export function statusText({ state }: Container, now = Date.now()): string {
  const since = (text: string) => humanDuration(now - timeOf(text))
  switch (state.status) {
    case 'created':
      return 'Created'
    case 'running': {
      const health = state.health
      const suffix = health ? ` (${health.Status === 'starting' ? 'health: starting' : health.Status})` : ''
      return `Up ${since(state.startedAt)}${suffix}`
    }
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`
    case 'removing':
      return 'Removal In Progress'
    case 'dead':
      return 'Dead'
    case 'exited':
      return timeOf(state.finishedAt) === 0
        ? `Exited (${state.exitCode})`
        : `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`
  }
}
