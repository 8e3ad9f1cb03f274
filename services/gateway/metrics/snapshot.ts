import { setTimeout as delay } from 'node:timers/promises'
import type { Json } from '../../../shared/contracts/index.ts'
import { isKind } from '../../../shared/errors/index.ts'
import type { Backend } from '../backend.ts'
import { healthOfAll, SERVICES } from '../routes/services.ts'
import type { CgroupCounters, Interfaces, Samples } from './samples.ts'

export interface ContainerCounters {
  readonly id: string
  readonly name: string
  readonly image: string
  readonly state: string
  readonly group: CgroupCounters | undefined
  readonly interfaces: Interfaces | undefined
}

export interface ServiceState {
  readonly service: string
  readonly up: boolean
  /** Seconds; absent when it does not answer. */
  readonly uptime?: number
}

export interface Snapshot {
  /** undefined: the engine service does not answer. */
  readonly containers: readonly ContainerCounters[] | undefined
  readonly services: readonly ServiceState[]
}

/** A scrape is better incomplete than late: Prometheus waits 10 s. */
const PATIENCE_MS = 2_000
/** Up to so many containers without a sample are asked for singly, at once; for more the next second's samples are awaited. */
const SINGLY = 16
const TICK_MS = 1_100
const AT_ONCE = 8

/** What there is to tell now. Without a sample yet (a first scrape, a container of this second) a container is asked for its own. */
export async function takeSnapshot(backend: Backend, samples: Samples): Promise<Snapshot> {
  samples.want()
  const [list, services] = await Promise.all([
    unlessAway(backend.engine['container.list']({ all: true, size: false, limit: 0, filters: {} })),
    stateOfServices(backend),
  ])
  if (list === undefined) return { containers: undefined, services }
  const heads = list.map(headOf)
  const missing = (): Head[] => heads.filter((c) => isAlive(c) && !isKnown(c, samples))
  if (missing().length > SINGLY) await delay(TICK_MS)
  await unlessAway(askFor(missing(), backend, samples))
  const containers = heads.map((c) => ({
    ...c,
    group: isAlive(c) ? samples.group(c.id) : undefined,
    interfaces: isAlive(c) ? samples.interfaces(c.id) : undefined,
  }))
  return { containers, services }
}

type Head = Pick<ContainerCounters, 'id' | 'name' | 'image' | 'state'> & { readonly ownNetwork: boolean }

function headOf(summary: Json): Head {
  const { Id, Names, Image, State, HostConfig } = summary as {
    Id: string
    Names?: string[]
    Image?: string
    State?: string
    HostConfig?: { NetworkMode?: string }
  }
  return {
    id: Id,
    name: Names?.[0]?.replace(/^\//, '') ?? '',
    image: Image ?? '',
    state: State ?? '',
    ownNetwork: !/^(host|none|container:.*)$/.test(HostConfig?.NetworkMode ?? ''),
  }
}

const isAlive = ({ state }: Head): boolean => state === 'running' || state === 'paused'

const isKnown = ({ id, ownNetwork }: Head, samples: Samples): boolean =>
  samples.group(id) !== undefined && (!ownNetwork || samples.interfaces(id) !== undefined)

async function askFor(containers: readonly Head[], { engine }: Backend, samples: Samples): Promise<void> {
  const queue = [...containers]
  const end = Date.now() + PATIENCE_MS
  const work = async (): Promise<void> => {
    for (let c = queue.pop(); c && Date.now() < end; c = queue.pop()) {
      const sample = await unlessAway(engine['container.stats']({ ref: c.id }))
      // One that has ended meanwhile has an empty sample.
      if (sample?.['oom_kills'] === undefined) continue
      samples.holdGroup(c.id, sample as CgroupCounters)
      if (c.ownNetwork) samples.holdInterfaces(c.id, (sample['networks'] ?? {}) as Interfaces)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function stateOfServices(backend: Backend): Promise<ServiceState[]> {
  const { health } = await healthOfAll(backend)
  const others = SERVICES.map((service) => {
    const found = health.find((h) => h.service === service)
    return found ? { service, up: found.ready, uptime: found.uptime } : { service, up: false }
  })
  return [{ service: 'gateway', up: true, uptime: process.uptime() }, ...others]
}

/** undefined when whoever is asked is away, is too slow, or has nothing of this name (any more). */
async function unlessAway<T>(answer: Promise<T>): Promise<T | undefined> {
  const over = new AbortController()
  const late = delay(PATIENCE_MS, undefined, { signal: over.signal }).catch(() => undefined)
  try {
    return await Promise.race([answer, late])
  } catch (error) {
    if (isKind(error, 'unavailable') || isKind(error, 'not-found')) return undefined
    throw error
  } finally {
    over.abort()
  }
}
