import { createHash } from 'node:crypto'
import { isDefaultBridge } from './endpoints.ts'
import type { Placed } from './gateway.ts'
import { changingLines, extraHostsText, type HostsContent, hostsText, refreshHosts } from './hosts-file.ts'
import type { Records, SandboxRecord } from './records.ts'
import { type DnsReach, parseResolvConf, resolvConfText } from './resolv-conf.ts'
import { hostResolvConf, hostResolvConfText, readOr, type SandboxFiles } from './sandbox-files.ts'

/** What the service wrote last, to tell it from what the container wrote. */
interface Written {
  /** Hash of resolv.conf; empty while it is being written: then it is ours, whatever is in it. */
  readonly resolvConf: string
  /** Lines of /etc/hosts that change; while it is being written, those before and after. */
  readonly hosts: readonly string[]
  /** The files are as said here, not still being written. */
  readonly done: boolean
}

const hash = (text: string): string => createHash('sha256').update(text).digest('base64')

/** Keeps /etc/hosts, /etc/resolv.conf and /etc/hostname of the sandboxes. What a container writes into them stays. */
export class NameFiles {
  readonly #records: Records
  readonly #files: SandboxFiles
  readonly #usesDns: (placed: Placed) => boolean
  /** Who has a link to a sandbox. */
  readonly #linkers = new Map<string, Set<string>>()
  /** Whom each sandbox has links to. */
  readonly #linked = new Map<string, readonly string[]>()

  /** `usesDns`: whether the embedded DNS serves that endpoint's network. */
  constructor(records: Records, files: SandboxFiles, usesDns: (placed: Placed) => boolean) {
    this.#records = records
    this.#files = files
    this.#usesDns = usesDns
  }

  /** Writes all three for a new sandbox. */
  create(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const { id, request } = sandbox
    const content = this.#content(sandbox, endpoints)
    const hosts = sandbox.mode === 'host' ? readOr('/etc/hosts') + extraHostsText(content) : hostsText(content)
    const resolvConf = this.#resolvConf(sandbox, endpoints)
    this.#files.write(id, 'hosts', hosts)
    this.#files.write(id, 'resolv.conf', resolvConf)
    this.#files.write(id, 'hostname', `${request.hostname}\n`)
    this.#note(id, { resolvConf: hash(resolvConf), hosts: changingLines(content), done: true })
    this.#follow(id, endpoints)
  }

  /** After endpoints came or went, here or where a link leads. */
  refresh(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const { id } = sandbox
    this.#follow(id, endpoints)
    const before = this.#written(id)
    const [hosts, resolvConf] = [this.#files.read(id, 'hosts'), this.#files.read(id, 'resolv.conf')]
    const ours = before.resolvConf === '' || before.resolvConf === hash(resolvConf)
    const lines = changingLines(this.#content(sandbox, endpoints))
    const now = {
      hosts: refreshHosts(hosts, before.hosts, lines),
      resolvConf: ours ? this.#resolvConf(sandbox, endpoints) : resolvConf,
    }
    const written = { resolvConf: ours ? hash(now.resolvConf) : before.resolvConf, hosts: lines, done: true }
    if (now.hosts !== hosts || now.resolvConf !== resolvConf) {
      this.#note(id, {
        resolvConf: ours ? '' : before.resolvConf,
        hosts: [...new Set([...before.hosts, ...lines])],
        done: false,
      })
      if (now.hosts !== hosts) this.#files.write(id, 'hosts', now.hosts)
      if (now.resolvConf !== resolvConf) this.#files.write(id, 'resolv.conf', now.resolvConf)
    }
    this.#note(id, written)
  }

  remove(sandboxId: string): void {
    this.#files.remove(sandboxId)
    this.#follow(sandboxId, [])
  }

  /** Takes up what an earlier process wrote, and writes what is missing. */
  adopt(sandbox: SandboxRecord, endpoints: readonly Placed[]): void {
    const none = this.#files.readNote(sandbox.id) === '' && this.#files.read(sandbox.id, 'hosts') === ''
    if (none) this.create(sandbox, endpoints)
    else if (!this.#written(sandbox.id).done) this.refresh(sandbox, endpoints)
    else this.#follow(sandbox.id, endpoints)
  }

  /** Remembers whom it links to now. */
  #follow(id: string, endpoints: readonly Placed[]): void {
    for (const target of this.#linked.get(id) ?? []) {
      const linkers = this.#linkers.get(target)
      if (linkers?.delete(id) && linkers.size === 0) this.#linkers.delete(target)
    }
    const targets = endpoints.flatMap(({ endpoint }) => endpoint.request.links.map((l) => l.id)).filter((t) => t !== '')
    for (const target of targets) this.#linkers.set(target, (this.#linkers.get(target) ?? new Set()).add(id))
    if (targets.length > 0) this.#linked.set(id, targets)
    else this.#linked.delete(id)
  }

  /** After a sandbox's addresses changed in the database: those who link to it learn of it. */
  tellLinkers(target: string): void {
    for (const id of [...(this.#linkers.get(target) ?? [])]) {
      const sandbox = this.#records.sandbox(id)
      if (sandbox?.phase === 'ready') this.refresh(sandbox, this.#placed(id))
    }
  }

  #written(id: string): Written {
    const text = this.#files.readNote(id)
    return text === '' ? { resolvConf: '', hosts: [], done: false } : (JSON.parse(text) as Written)
  }

  #note(id: string, written: Written): void {
    const text = JSON.stringify(written)
    if (text !== this.#files.readNote(id)) this.#files.writeNote(id, text)
  }

  #resolvConf({ mode, request }: SandboxRecord, endpoints: readonly Placed[]): string {
    if (mode === 'host') {
      const plain = request.dns.length + request.dnsOptions.length + request.dnsSearch.length === 0
      const text = hostResolvConfText()
      return plain ? text : resolvConfText(parseResolvConf(text), request, 'host')
    }
    return resolvConfText(hostResolvConf(), request, this.#reach(endpoints))
  }

  #reach(endpoints: readonly Placed[]): DnsReach {
    if (endpoints.some(this.#usesDns)) return 'embedded'
    return endpoints.some(({ endpoint }) => endpoint.ipv6 !== '') ? 'dual' : 'ipv4'
  }

  #placed(sandboxId: string): Placed[] {
    return this.#records.endpointsOf(sandboxId).flatMap((endpoint) => {
      const network = this.#records.network(endpoint.network)
      return network ? [{ endpoint, network }] : []
    })
  }

  #content({ request }: SandboxRecord, endpoints: readonly Placed[]): HostsContent {
    return {
      own: endpoints.flatMap(({ endpoint }) => [endpoint.ipv4, endpoint.ipv6]).filter((a) => a !== ''),
      hostname: request.hostname,
      domainname: request.domainname,
      extraHosts: request.extraHosts,
      hostGateway: request.extraHosts.some((host) => host.endsWith(':host-gateway')) ? this.#hostGateway() : undefined,
      links: endpoints
        .filter(({ network }) => isDefaultBridge(network))
        .flatMap(({ endpoint, network }) =>
          endpoint.request.links.map(({ id, name, alias }) => ({
            address: this.#addressOn(network.id, id),
            names: [...new Set([alias, id.slice(0, 12), name])].filter((n) => n !== ''),
          })),
        ),
    }
  }

  #hostGateway(): string | undefined {
    return this.#records.networkNamed('bridge')?.pools.find((pool) => !pool.v6)?.gateway
  }

  /** Empty while it is not there. */
  #addressOn(networkId: string, sandboxId: string): string {
    const there = this.#records.endpointsOf(sandboxId).find((e) => e.network === networkId && e.phase === 'ready')
    return there?.ipv4 ?? ''
  }
}
