import type { EndpointRequest } from '../../shared/contracts/index.ts'
import type { Placed } from './gateway.ts'
import { networkEvent } from './network-events.ts'
import type { IfTaken } from './publishing.ts'
import type { EndpointRecord, SandboxRecord } from './records.ts'
import { applyDefaultRoutes } from './routing.ts'
import { netnsOf, type SandboxParts } from './sandbox-parts.ts'

/** Endpoints of live sandboxes come and go. The caller has the sandbox to itself. */
export class Attachments {
  readonly #p: SandboxParts

  constructor(parts: SandboxParts) {
    this.#p = parts
  }

  /** Adds an endpoint; when that fails nothing is left of it. `settle` follows, and `confirm`. */
  async attach(sandbox: SandboxRecord, request: EndpointRequest): Promise<Placed> {
    const { records, store } = this.#p.context
    const planned = store.transaction(() => this.#p.endpoints.plan(sandbox, request))
    const netns = netnsOf(this.#p, sandbox) ?? ''
    try {
      const { endpoint, network } = await this.#p.endpoints.attach(planned, netns)
      const placed: Placed = { network, endpoint: { ...endpoint, phase: 'creating' } }
      records.putEndpoint(placed.endpoint)
      return placed
    } catch (error) {
      await this.#p.endpoints.detach(planned, netns).catch((failure: unknown) => {
        this.#p.context.log.warn({ endpoint: planned.endpoint.id, failure }, 'a half-made endpoint stays until restart')
      })
      store.transaction(() => this.#p.endpoints.forget(planned))
      throw error
    }
  }

  /** Endpoints of which all is there now: from here on they are the sandbox's, and that is told. */
  confirm(sandboxId: string, added: readonly Placed[]): void {
    const { records, store } = this.#p.context
    store.transaction(() => {
      for (const { endpoint, network } of added) {
        records.setEndpointPhase(endpoint.id, 'ready')
        this.#remember(sandboxId, network.id, endpoint.request)
        store.emit(networkEvent('connect', network, sandboxId))
      }
    })
    this.#p.nameFiles.tellLinkers(sandboxId)
  }

  /** Gives an endpoint that is there another request, as far as that needs no other endpoint. `settle` follows. */
  change(sandbox: SandboxRecord, endpoint: EndpointRecord, request: EndpointRequest): void {
    const { records, store } = this.#p.context
    store.transaction(() => {
      records.putEndpoint({ ...endpoint, request })
      this.#remember(sandbox.id, endpoint.network, request)
    })
  }

  /** Takes an endpoint away; of one that was never confirmed nothing is told. `settle` follows. */
  async detach(sandbox: SandboxRecord, placed: Placed): Promise<void> {
    const { records, store } = this.#p.context
    const known = records.endpointsOf(sandbox.id).find((e) => e.id === placed.endpoint.id)
    const confirmed = known !== undefined && known.phase !== 'creating'
    if (confirmed) records.setEndpointPhase(placed.endpoint.id, 'deleting')
    await this.#p.endpoints.detach(placed, netnsOf(this.#p, sandbox) ?? '')
    store.transaction(() => {
      this.#p.endpoints.forget(placed)
      this.#remember(sandbox.id, placed.network.id, undefined)
      if (confirmed) store.emit(networkEvent('disconnect', placed.network, sandbox.id))
    })
  }

  /** Keeps the sandbox's request what it would have to be now to make the same. */
  #remember(id: string, networkId: string, request: EndpointRequest | undefined): void {
    const { records } = this.#p.context
    const sandbox = records.sandbox(id)
    if (!sandbox) return
    const others = sandbox.request.endpoints.filter((e) => this.#p.endpoints.networkId(e) !== networkId)
    const endpoints = request ? [...others, request] : others
    records.putSandbox({ ...sandbox, request: { ...sandbox.request, endpoints } })
  }

  /**
   * Routes, ports, names: all that depends on which endpoints there are. `before`: those there were. `ports` that are in use
   * elsewhere are refused, or left out where nothing can be refused any more.
   */
  async settle(sandbox: SandboxRecord, before: readonly Placed[], ports: IfTaken = 'refuse'): Promise<void> {
    const netns = netnsOf(this.#p, sandbox)
    const placed = this.#p.endpoints.of(sandbox.id)
    if (netns !== null) applyDefaultRoutes(netns, before, placed)
    if (sandbox.mode === 'private') {
      this.#p.publishing.adapt(sandbox, placed, ports)
      await this.#p.publishing.apply(sandbox, placed)
    }
    this.#p.nameFiles.refresh(sandbox, placed)
    this.#p.nameFiles.tellLinkers(sandbox.id)
    await this.#p.resolver.attach(sandbox, placed, netns)
  }
}
