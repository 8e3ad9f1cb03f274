import type { Static } from 'typebox'
import { invalid } from '../../../shared/errors/index.ts'
import type { ContainerCreate, ContainerUpdate } from '../schemas/container.ts'

export type CreateRequest = Static<typeof ContainerCreate>
export type UpdateRequest = Static<typeof ContainerUpdate>

/** What a create request of an older client means: defaults that it relied on, members that did not exist for it. */
interface Rule {
  readonly since: number
  readonly what: string
  readonly apply: (request: CreateRequest) => void
}

const RULES: readonly Rule[] = [
  {
    since: 40,
    what: 'ipc was shareable by default',
    apply: (r) => void ((r.HostConfig ??= {}).IpcMode ||= 'shareable'),
  },
  { since: 42, what: 'no console size at create', apply: (r) => delete r.HostConfig?.ConsoleSize },
  { since: 43, what: 'no annotations', apply: (r) => delete r.HostConfig?.Annotations },
  { since: 44, what: 'no start interval', apply: (r) => delete r.Healthcheck?.StartInterval },
  { since: 44, what: 'no MAC address on an endpoint', apply: (r) => endpoints(r).forEach((e) => delete e.MacAddress) },
  { since: 44, what: 'one network at create', apply: refuseManyNetworks },
  {
    since: 45,
    what: 'no volume subpath',
    apply: (r) => r.HostConfig?.Mounts?.forEach((m) => delete m.VolumeOptions?.Subpath),
  },
  { since: 48, what: 'no gateway priority', apply: (r) => endpoints(r).forEach((e) => delete e.GwPriority) },
]

/** Brings a create request of API 1.`api` (changed in place) into the newest form. Returns warnings for the client. */
export function modernize(request: CreateRequest, api: number): string[] {
  for (const rule of RULES) if (api < rule.since) rule.apply(request)
  return [...dropKernelMemory(request.HostConfig ?? {}, api), ...moveMacAddress(request, api)]
}

/** The same for an update: until API 1.40 its PidsLimit meant nothing. */
export function modernizeUpdate(request: UpdateRequest, api: number): string[] {
  if (api < 40) delete request.PidsLimit
  return dropKernelMemory(request, api)
}

/** No kernel limits it any more. From API 1.42 on it is ignored. */
function dropKernelMemory(limits: Pick<UpdateRequest, 'KernelMemory'>, api: number): string[] {
  const given = limits.KernelMemory ?? 0
  delete limits.KernelMemory
  return given > 0 && api < 42
    ? [
        'Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
      ]
    : []
}

const endpoints = (request: CreateRequest) => Object.values(request.NetworkingConfig?.EndpointsConfig ?? {})

function refuseManyNetworks(request: CreateRequest): void {
  const names = Object.keys(request.NetworkingConfig?.EndpointsConfig ?? {})
  if (names.length < 2) return
  throw invalid(`Container cannot be created with multiple network endpoints: ${names.join(', ')}`)
}

/** Until API 1.44 the MAC address belonged to the container; it now belongs to its endpoint on the main network. */
function moveMacAddress(request: CreateRequest, api: number): string[] {
  const mac = request.MacAddress ?? ''
  if (mac === '') return []
  const mode = request.HostConfig?.NetworkMode || 'default'
  if (mode === 'host' || mode === 'none' || mode.startsWith('container:')) {
    throw invalid('conflicting options: mac-address and the network mode')
  }
  const configs = ((request.NetworkingConfig ??= {}).EndpointsConfig ??= {})
  const [only] = Object.keys(configs).length === 1 ? Object.values(configs) : []
  const endpoint = configs[mode] ?? only ?? (configs[mode] = {})
  if (endpoint.MacAddress && endpoint.MacAddress !== mac) {
    throw invalid(
      'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
    )
  }
  const moved = !endpoint.MacAddress
  endpoint.MacAddress = mac
  return moved && api >= 44
    ? ['The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.']
    : []
}
