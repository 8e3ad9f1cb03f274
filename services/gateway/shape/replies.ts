import type { Json } from '../../../shared/contracts/index.ts'

/**
 * What replies looked like before a given API version. Services answer in the newest form; each rule of the table takes
 * one change of Docker's API back, for clients that ask for an older version, or hides from newer ones what was taken out.
 * https://docs.docker.com/reference/api/engine/version-history/
 */
interface Rule {
  /** First minor version that has the new form. */
  readonly since: number
  readonly what: string
  /** For clients of a version before. */
  readonly undo?: (reply: Json) => void
  /** For clients of that version or a later one. */
  readonly hide?: (reply: Json) => void
}

const member = (value: unknown): Json => (value !== null && typeof value === 'object' ? (value as Json) : {})
const members = (value: unknown): Json[] => Object.values(member(value)).map(member)
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const endpoints = (container: Json): Json[] => members(member(container['NetworkSettings'])['Networks'])

const without =
  (...names: string[]) =>
  (reply: Json): void => {
    for (const name of names) delete reply[name]
  }

const withoutDnsNames = (container: Json): void => endpoints(container).forEach(without('DNSNames'))
const withoutGatewayPriority = (container: Json): void => endpoints(container).forEach(without('GwPriority'))
const withVirtualSize = (image: Json): void => {
  image['VirtualSize'] = image['Size']
}

const TABLE = {
  'container inspect': [
    { since: 44, what: 'DNS names apart from aliases', undo: withoutDnsNames },
    { since: 42, what: 'no kernel memory', undo: withKernelMemory },
    {
      since: 44,
      what: 'MAC address on the endpoint alone',
      hide: (c: Json) => without('MacAddress')(member(c['Config'])),
    },
    { since: 45, what: 'no short id among the aliases', undo: shortIdToAliases },
    { since: 48, what: 'gateway priority', undo: withoutGatewayPriority },
    { since: 48, what: 'manifest descriptor of the image', undo: without('ImageManifestDescriptor') },
  ],
  'container list': [
    { since: 44, what: 'DNS names', undo: withoutDnsNames },
    { since: 52, what: 'health', undo: without('Health') },
    { since: 46, what: 'annotations', undo: (c: Json) => without('Annotations')(member(c['HostConfig'])) },
    { since: 48, what: 'gateway priority', undo: withoutGatewayPriority },
    { since: 48, what: 'manifest descriptor of the image', undo: without('ImageManifestDescriptor') },
  ],
  'image list': [
    { since: 43, what: 'empty lists for untagged images', undo: noneForUntagged },
    { since: 44, what: 'no VirtualSize', undo: withVirtualSize },
    { since: 47, what: 'manifests', undo: without('Manifests') },
    { since: 48, what: 'descriptor', undo: without('Descriptor') },
  ],
  'image inspect': [
    { since: 44, what: 'no VirtualSize', undo: withVirtualSize },
    { since: 45, what: 'no Container and ContainerConfig', undo: withContainerConfig },
    { since: 48, what: 'descriptor and manifests', undo: without('Descriptor', 'Manifests') },
    { since: 50, what: 'no members of a container in Config', undo: withWholeConfig },
  ],
  info: [
    { since: 46, what: 'containerd namespaces', undo: without('Containerd') },
    { since: 49, what: 'firewall backend', undo: without('FirewallBackend') },
    { since: 50, what: 'no bridge netfilter flags', undo: withBridgeNetfilter },
    { since: 50, what: 'discovered devices', undo: without('DiscoveredDevices') },
  ],
  event: [{ since: 52, what: 'no status, id and from', undo: legacyEventMembers }],
} satisfies Record<string, readonly Rule[]>

export type ReplyKind = keyof typeof TABLE

/** Brings a reply (changed in place) into the form of API 1.`api`. */
export function shape<T extends Json>(kind: ReplyKind, api: number, reply: T): T {
  for (const rule of TABLE[kind] as readonly Rule[]) {
    if (api < rule.since) rule.undo?.(reply)
    else rule.hide?.(reply)
  }
  return reply
}

export const shapeAll = (kind: ReplyKind, api: number, replies: Json[]): Json[] =>
  replies.map((reply) => shape(kind, api, reply))

function withKernelMemory(container: Json): void {
  Object.assign(member(container['HostConfig']), { KernelMemory: 0, KernelMemoryTCP: 0 })
}

function shortIdToAliases(container: Json): void {
  const shortId = text(container['Id']).slice(0, 12)
  for (const [name, endpoint] of Object.entries(member(member(container['NetworkSettings'])['Networks']))) {
    if (['bridge', 'host', 'none'].includes(name)) continue
    const aliases = member(endpoint)['Aliases']
    const list = Array.isArray(aliases) ? (aliases as unknown[]) : []
    if (!list.includes(shortId)) member(endpoint)['Aliases'] = [...list, shortId]
  }
}

function noneForUntagged(image: Json): void {
  const empty = (value: unknown): boolean => !Array.isArray(value) || value.length === 0
  if (empty(image['RepoTags']) && empty(image['RepoDigests'])) {
    image['RepoTags'] = ['<none>:<none>']
    image['RepoDigests'] = ['<none>@<none>']
  }
}

/** A container's configuration with nothing in it. */
const EMPTY_CONFIG = {
  ...{
    Hostname: '',
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
  },
  ...{ OpenStdin: false, StdinOnce: false, Env: null, Cmd: null, Image: '', Volumes: null, WorkingDir: '' },
  ...{ Entrypoint: null, OnBuild: null, Labels: null },
}

function withContainerConfig(image: Json): void {
  image['Container'] ??= ''
  image['ContainerConfig'] ??= { ...EMPTY_CONFIG }
}

function withWholeConfig(image: Json): void {
  image['Config'] = { ...EMPTY_CONFIG, ...member(image['Config']) }
}

function withBridgeNetfilter(info: Json): void {
  info['BridgeNfIptables'] ??= true
  info['BridgeNfIp6tables'] ??= true
}

/** Container and image events carried their action, id and image a second time, at the top. */
function legacyEventMembers(event: Json): void {
  const type = event['Type']
  if (type !== 'container' && type !== 'image') return
  const actor = member(event['Actor'])
  event['status'] = event['Action']
  if (actor['ID'] !== '') event['id'] = actor['ID']
  const image = member(actor['Attributes'])['image']
  if (type === 'container' && image !== undefined) event['from'] = image
}
