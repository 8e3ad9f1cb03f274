import type { EndpointInfo, PortBinding, SandboxInfo } from '../../shared/contracts/index.ts'
import { prefixLength } from './context.ts'
import { gatewayOf, type Placed } from './gateway.ts'
import { dnsNames } from './names.ts'
import type { SandboxRecord } from './records.ts'
import type { SandboxFiles } from './sandbox-files.ts'

export interface SandboxParts {
  readonly sandbox: SandboxRecord
  /** The sandbox whose namespace and files it uses; itself, unless it joined another. */
  readonly root: SandboxRecord
  readonly files: SandboxFiles
  readonly endpoints: readonly Placed[]
  readonly ports: readonly PortBinding[]
}

/** A sandbox in the form of the contract. */
export function sandboxInfo({ sandbox, root, files, endpoints, ports }: SandboxParts): SandboxInfo {
  return {
    id: sandbox.id,
    netns: root.mode === 'host' ? null : files.netns(root.id),
    mounts: files.mounts(root.id),
    hostsPath: files.path(root.id, 'hosts'),
    resolvConfPath: files.path(root.id, 'resolv.conf'),
    hostnamePath: files.path(root.id, 'hostname'),
    endpoints: endpoints.map((placed) => endpointInfo(sandbox, placed)),
    ports: [...ports],
  }
}

function endpointInfo(sandbox: SandboxRecord, { endpoint, network }: Placed): EndpointInfo {
  return {
    networkId: network.id,
    networkName: network.name,
    endpointId: endpoint.id,
    interface: endpoint.interface,
    mac: endpoint.mac,
    ipv4: endpoint.ipv4,
    ipv4PrefixLength: prefixLength(network, endpoint.ipv4),
    gateway4: gatewayOf(network, endpoint.ipv4),
    ipv6: endpoint.ipv6,
    ipv6PrefixLength: prefixLength(network, endpoint.ipv6),
    gateway6: gatewayOf(network, endpoint.ipv6),
    aliases: [...endpoint.request.aliases],
    dnsNames: network.predefined ? [] : dnsNames(sandbox, endpoint),
  }
}
