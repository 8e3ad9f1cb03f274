import { basename } from 'node:path'
import type { RecoveredNetwork } from '../../shared/drivers/index.ts'
import { deleteNetns, isNetns } from '../../shared/kernel/netns.ts'
import { driven } from './context.ts'
import { applyEndpointSysctls } from './endpoint-options.ts'
import { endpointSpec } from './endpoints.ts'
import { networkEvent } from './network-events.ts'
import { firewallNetwork, type Networks } from './networks.ts'
import type { SandboxRecord } from './records.ts'
import { applyDefaultRoutes } from './routing.ts'
import type { SandboxParts } from './sandbox-parts.ts'
import type { Sandboxes } from './sandboxes.ts'

/**
 * Start-up: what was half done is undone or finished, what lives is adopted, what nobody owns is removed. Nothing else runs
 * meanwhile. A part that cannot be mended is logged, and does not keep the others from working.
 */
export class Recovery {
  readonly #p: SandboxParts
  readonly #networks: Networks
  readonly #sandboxes: Sandboxes

  constructor(parts: SandboxParts, networks: Networks, sandboxes: Sandboxes) {
    this.#p = parts
    this.#networks = networks
    this.#sandboxes = sandboxes
  }

  async run(): Promise<void> {
    await this.#finishSandboxes()
    this.#finishEndpoints()
    this.#finishNetworks()
    this.#releaseStrays()
    await this.#serveNames()
    await this.#recoverPorts()
    const renewed = await this.#recoverDrivers()
    // Without it there are no bridge networks, which the firewall goes on trying; the others are of use.
    await this.#attempt('firewall', () => this.#syncFirewall())
    await this.#adopt(renewed)
    this.#removeStrayFiles()
  }

  async #attempt(what: string, work: () => Promise<void> | void): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#p.context.log.error({ error }, `recovery: ${what} failed`)
    }
  }

  /** Half-made and half-deleted sandboxes go, and those whose namespace is no more (the machine was restarted). */
  async #finishSandboxes(): Promise<void> {
    const { records } = this.#p.context
    const lost = (s: SandboxRecord): boolean =>
      (s.mode === 'private' || s.mode === 'none') && !isNetns(this.#p.files.netns(s.id))
    for (const sandbox of records.sandboxes().filter((s) => s.mode !== 'container')) {
      if (sandbox.phase === 'creating' || sandbox.phase === 'deleting' || lost(sandbox)) {
        await this.#attempt(`removal of sandbox ${sandbox.id}`, () => this.#sandboxes.destroy(sandbox))
      }
    }
    const left = new Map(records.sandboxes().map((s) => [s.id, s]))
    for (const s of left.values()) if (s.mode === 'container' && !left.has(s.root)) records.deleteSandbox(s.id)
    for (const s of left.values()) {
      if (s.phase === 'released' && records.joiners(s.id).length === 0) {
        await this.#attempt(`removal of sandbox ${s.id}`, () => this.#sandboxes.destroy(s))
      }
    }
  }

  /** Endpoints on their way in or out when the service died: all go out. */
  #finishEndpoints(): void {
    const { records, store, background } = this.#p.context
    for (const endpoint of records.endpoints().filter((e) => e.phase !== 'ready')) {
      const network = records.network(endpoint.network)
      if (!network) continue
      const placed = { endpoint, network }
      const gone = this.#p.endpoints.detach(placed, this.#p.files.netns(endpoint.sandbox))
      background.add(`removal of endpoint ${endpoint.id}`, gone)
      store.transaction(() => {
        this.#p.endpoints.forget(placed)
        if (endpoint.phase === 'deleting') store.emit(networkEvent('disconnect', network, endpoint.sandbox))
      })
    }
  }

  #finishNetworks(): void {
    for (const network of this.#p.context.records.networks()) {
      if (network.phase === 'ready') continue
      void this.#attempt(`removal of network ${network.name}`, () => {
        if (network.phase === 'creating') this.#networks.undoInBackground(network)
        else this.#networks.finishInterrupted(network)
      })
    }
  }

  /** Addresses and ports of sandboxes that are no more. */
  #releaseStrays(): void {
    const { records, store, ipam, ports } = this.#p.context
    const known = new Set(records.sandboxes().map((s) => s.id))
    store.transaction(() => {
      for (const owner of ipam.owners()) if (!known.has(owner)) ipam.releaseOwner(owner)
      for (const owner of ports.owners()) if (!known.has(owner)) ports.release(owner)
    })
  }

  /** A change of endpoints may have been interrupted before that of the ports. */
  async #recoverPorts(): Promise<void> {
    const { records, ports, log } = this.#p.context
    for (const clash of ports.reopen())
      log.warn({ port: clash }, 'recovery: a published port is not kept from processes')
    for (const sandbox of records.sandboxes().filter((s) => s.mode === 'private')) {
      await this.#attempt(`ports of ${sandbox.name}`, () =>
        this.#p.publishing.adapt(sandbox, this.#p.endpoints.of(sandbox.id), 'leave out'),
      )
    }
  }

  /** Returns the sandboxes of endpoints that had to be made again. */
  async #recoverDrivers(): Promise<Set<string>> {
    const sandboxes = new Set<string>()
    const { records, drivers, store, log } = this.#p.context
    const networks = records.networks().filter((n) => n.phase === 'ready')
    for (const driver of drivers.usable()) {
      const name = driver.manifest.name
      await this.#attempt(`driver ${name}`, async () => {
        const mine: RecoveredNetwork[] = networks
          .filter((n) => n.driver === name)
          .map((n) => ({
            network: driven(this.#p.context, n).spec,
            state: n.state,
            endpoints: records.endpointsOn(n.id).map((e) => ({
              endpoint: endpointSpec(n, e, this.#p.files.netns(e.sandbox)),
              state: e.state,
            })),
          }))
        const report = await driver.recover(mine)
        for (const failure of report.failures) log.error({ ...failure, driver: name }, 'recovery: could not be mended')
        if (report.removed.length > 0)
          log.warn({ removed: report.removed, driver: name }, 'recovery: removed leftovers')
        const renewed = new Map(report.endpoints.map((e) => [e.id, e.result]))
        store.transaction(() => {
          for (const { id, state } of report.networks) records.setNetworkState(id, state)
          for (const e of records.endpoints()) {
            const result = renewed.get(e.id)
            if (!result) continue
            records.putEndpoint({ ...e, state: result.state, hostInterface: result.hostInterface ?? '' })
            sandboxes.add(e.sandbox)
            applyEndpointSysctls(e, this.#p.files.netns(e.sandbox))
          }
        })
      })
    }
    return sandboxes
  }

  #syncFirewall(): void {
    const { context, publishing, endpoints } = this.#p
    const networks = context.records
      .networks()
      .filter((n) => n.phase === 'ready')
      .flatMap((n) => firewallNetwork(context, n) ?? [])
    const ports = new Map(
      context.records.sandboxes().map((s) => [s.id, publishing.published(s, endpoints.of(s.id))] as const),
    )
    for (const [id, published] of ports) if (published.length === 0) ports.delete(id)
    context.firewall.sync({ networks, ports })
  }

  /**
   * Containers ask again after a second or two, and should not have to twice: names come before all that takes longer. Nobody is
   * answered before the names of all are known: of one that is not yet known somebody would be told for good that it does not exist.
   */
  async #serveNames(): Promise<void> {
    const all = this.#living()
    for (const { sandbox, placed } of all) this.#p.resolver.know(sandbox, placed)
    await Promise.all(
      all.map(({ sandbox, placed, netns }) =>
        this.#attempt(`DNS of sandbox ${sandbox.id}`, () => this.#p.resolver.serve(sandbox, placed, netns)),
      ),
    )
  }

  /** Files of what lives, routes of what was made again. */
  async #adopt(renewed: ReadonlySet<string>): Promise<void> {
    for (const { sandbox, placed, netns } of this.#living()) {
      await this.#attempt(`sandbox ${sandbox.id}`, () => {
        this.#p.publishing.relay(sandbox.id, placed)
        if (netns !== null && renewed.has(sandbox.id)) applyDefaultRoutes(netns, [], placed)
        this.#p.nameFiles.adopt(sandbox, placed)
      })
    }
  }

  #living() {
    return this.#p.context.records
      .sandboxes()
      .filter((s) => s.mode !== 'container')
      .map((sandbox) => ({
        sandbox,
        placed: this.#p.endpoints.of(sandbox.id),
        netns: sandbox.mode === 'host' ? null : this.#p.files.netns(sandbox.id),
      }))
  }

  #removeStrayFiles(): void {
    const { records, log } = this.#p.context
    const ids = records.sandboxes().map((s) => s.id)
    const found = this.#p.files.found()
    const netns = new Set(ids.map((id) => this.#p.files.netns(id)))
    for (const id of found.ids.filter((id) => !ids.includes(id))) this.#p.files.remove(id)
    for (const path of found.netns.filter((path) => !netns.has(path))) {
      log.warn({ netns: basename(path) }, 'recovery: removed a namespace that nobody owns')
      deleteNetns(path)
    }
  }
}
