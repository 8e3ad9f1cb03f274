import { isDefaultBridge } from './endpoints.ts'
import type { Placed } from './gateway.ts'
import { extraHostsText, type HostsContent, hostsText, refreshHosts } from './hosts-file.ts'
import { gatewayOf } from './gateway.ts'
import type { Records, SandboxRecord } from './records.ts'
import { resolvConfText } from './resolv-conf.ts'
import { hostResolvConf, hostResolvConfText, readOr, type SandboxFiles } from './sandbox-files.ts'

/** Keeps /etc/hosts, /etc/resolv.conf and /etc/hostname of the sandboxes. */
export class NameFiles {
  readonly #records: Records
  readonly #files: SandboxFiles
  readonly #usesDns: (placed: Placed) => boolean
  /** Who has a link to a sandbox. */
  readonly #linkers = new Map<string, Set<string>>()

  /** `usesDns`: whether the embedded DNS serves that endpoint's network. */
  constructor(records: Records, files: SandboxFiles, usesDns: (placed: Placed) => boolean) {
    this.#records = records
    this.#files = files
    this.#usesDns = usesDns
  }

  /** Writes all three for a new sandbox. */
  create(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const { request } = sandbox
    const content = this.#content(sandbox, endpoints)
    const ownDns = request.dns.length + request.dnsOptions.length + request.dnsSearch.length > 0
    if (sandbox.mode === 'host') {
      this.#files.write(sandbox.id, 'hosts', readOr('/etc/hosts') + extraHostsText(content))
      const resolv = ownDns ? resolvConfText(hostResolvConf(), request, false) : hostResolvConfText()
      this.#files.write(sandbox.id, 'resolv.conf', resolv)
    } else {
      this.#files.write(sandbox.id, 'hosts', hostsText(content))
      this.#writeResolvConf(sandbox, endpoints)
    }
    this.#files.write(sandbox.id, 'hostname', `${request.hostname}\n`)
    this.#follow(sandbox)
  }

  /** After endpoints came or went. */
  refresh(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    this.#refreshHosts(sandbox, endpoints)
    if (this.#files.read(sandbox.id, 'resolv.conf') !== this.#resolvConf(sandbox, endpoints)) {
      this.#writeResolvConf(sandbox, endpoints)
    }
  }

  remove(sandboxId: string): void {
    this.#files.remove(sandboxId)
    for (const [target, linkers] of this.#linkers) {
      if (linkers.delete(sandboxId) && linkers.size === 0) this.#linkers.delete(target)
    }
  }

  /** Takes up what an earlier process wrote, and writes what is missing. */
  adopt(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    if (this.#files.read(sandbox.id, 'hosts') === '') this.create(sandbox, endpoints)
    else this.#follow(sandbox)
  }

  #follow(sandbox: SandboxRecord): void {
    for (const link of sandbox.request.endpoints.flatMap((e) => e.links)) {
      this.#linkers.set(link.id, (this.#linkers.get(link.id) ?? new Set()).add(sandbox.id))
    }
  }

  /** After a sandbox's addresses changed in the database: those who link to it learn of it. */
  tellLinkers(target: string): void {
    for (const id of this.#linkers.get(target) ?? []) {
      const sandbox = this.#records.sandbox(id)
      if (sandbox?.phase === 'ready') this.#refreshHosts(sandbox, this.#placed(id))
    }
  }

  #refreshHosts(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const text = refreshHosts(this.#files.read(sandbox.id, 'hosts'), this.#content(sandbox, endpoints))
    this.#files.write(sandbox.id, 'hosts', text)
  }

  #writeResolvConf(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    this.#files.write(sandbox.id, 'resolv.conf', this.#resolvConf(sandbox, endpoints))
  }

  #resolvConf = (sandbox: SandboxRecord, endpoints: readonly Placed[]): string =>
    resolvConfText(hostResolvConf(), sandbox.request, endpoints.some(this.#usesDns))

  #placed(sandboxId: string): Placed[] {
    return this.#records.endpointsOf(sandboxId).flatMap((endpoint) => {
      const network = this.#records.network(endpoint.network)
      return network ? [{ endpoint, network }] : []
    })
  }

  #content({ request }: SandboxRecord, endpoints: readonly Placed[]): HostsContent {
    const bridge = this.#records.networkNamed('bridge')
    const links = endpoints
      .filter(({ network }) => isDefaultBridge(network))
      .flatMap(({ endpoint, network }) => {
        const users = this.#records.endpointsOn(network.id)
        return endpoint.request.links.map(({ id, name, alias }) => ({
          address: users.find((u) => u.sandbox === id && u.phase === 'ready')?.ipv4 ?? '',
          names: [...new Set([alias, id.slice(0, 12), name])].filter((n) => n !== ''),
        }))
      })
    return {
      own: endpoints.flatMap(({ endpoint }) => [endpoint.ipv4, endpoint.ipv6]).filter((a) => a !== ''),
      hostname: request.hostname,
      domainname: request.domainname,
      extraHosts: request.extraHosts,
      hostGateway: bridge && (gatewayOf(bridge, false) || undefined),
      links,
    }
  }
}
