import { isDeepStrictEqual } from 'node:util'
import type { EndpointRequest, SandboxInfo, SandboxRequest } from '../../shared/contracts/index.ts'
import { conflict, invalid } from '../../shared/errors/index.ts'
import { createNetns, deleteNetns, isNetns, withNetns } from '../../shared/kernel/netns.ts'
import type { Attachments } from './attachments.ts'
import type { Placed } from './gateway.ts'
import type { Locks } from '../../shared/async/locks.ts'
import { networkEvent } from './network-events.ts'
import type { SandboxKind, SandboxRecord } from './records.ts'
import { applyDefaultRoutes } from './routing.ts'
import { describeSandbox, netnsOf, readySandbox, type SandboxParts } from './sandbox-parts.ts'
import { applySysctls, planSysctls } from './sysctls.ts'

/**
 * The containers' network namespaces. Everything between two awaits is synchronous kernel work of some milliseconds; what is
 * meant is in the database before it is done, so that a crash at any line is finished or undone at the next start.
 */
export class Sandboxes {
  readonly #p: SandboxParts
  readonly #attachments: Attachments
  readonly #locks: Locks

  constructor(parts: SandboxParts, attachments: Attachments, locks: Locks) {
    this.#p = parts
    this.#attachments = attachments
    this.#locks = locks
  }

  async create(request: SandboxRequest): Promise<SandboxInfo> {
    return this.#locks.run(request.id, async () => {
      const there = this.#p.context.records.sandbox(request.id)
      if (there && this.#isAsAsked(there, request)) return describeSandbox(this.#p, there)
      if (there?.mode === 'container') await this.#leave(there)
      else if (there && this.#isShared(there)) return this.#revive(there, request)
      else if (there) await this.destroy(there)
      return this.#create(request)
    })
  }

  #isAsAsked(there: SandboxRecord, request: SandboxRequest): boolean {
    const netns = netnsOf(this.#p, there)
    if (there.phase !== 'ready' || !sameRequest(there.request, request)) return false
    return (netns === null || isNetns(netns)) && this.#hasEndpoints(there, request)
  }

  /** What the record says is what was asked for; only the endpoints are what there is. */
  #hasEndpoints(there: SandboxRecord, request: SandboxRequest): boolean {
    const endpoints = this.#p.endpoints.of(there.id)
    const wanted = this.#wanted(request)
    return endpoints.length === wanted.size && endpoints.every((placed) => isWanted(wanted, placed))
  }

  /** Wishes by network. */
  #wanted = (request: SandboxRequest): Map<string, EndpointRequest> =>
    new Map(endpointRequests(request).map((e) => [this.#p.endpoints.networkId(e), e]))

  /** Others use it, or only they do. */
  #isShared(sandbox: SandboxRecord): boolean {
    if (sandbox.phase === 'released') return true
    return sandbox.phase === 'ready' && this.#p.context.records.joiners(sandbox.id).length > 0
  }

  async #create(request: SandboxRequest): Promise<SandboxInfo> {
    const { records, store } = this.#p.context
    const sandbox = store.transaction(() => {
      const sandbox: SandboxRecord = {
        id: request.id,
        name: request.name,
        mode: request.mode.kind,
        root: this.#root(request),
        request,
        phase: request.mode.kind === 'container' ? 'ready' : 'creating',
      }
      records.putSandbox(sandbox)
      if (sandbox.mode === 'container') return sandbox
      const placed = endpointRequests(request).map((wish) => this.#p.endpoints.plan(sandbox, wish))
      if (sandbox.mode === 'private') this.#p.publishing.reserve(sandbox, placed)
      return sandbox
    })
    if (sandbox.mode === 'container') return describeSandbox(this.#p, sandbox)
    try {
      return await this.#build(sandbox)
    } catch (error) {
      await this.destroy(sandbox).catch((failure: unknown) => {
        this.#p.context.log.warn({ sandbox: sandbox.id, failure }, 'a half-made sandbox could not be taken away')
      })
      throw error
    }
  }

  /** Whose namespace a sandbox uses. */
  #root(request: SandboxRequest): string {
    if (request.mode.kind !== 'container') return request.id
    if (request.ports.length > 0) {
      throw invalid('conflicting options: port publishing and the container type network mode')
    }
    const target = this.#p.context.records.sandbox(request.mode.target)
    const root = target && this.#p.context.records.sandbox(target.root)
    if (!root || (root.phase !== 'ready' && root.phase !== 'released')) {
      throw conflict(`cannot join network of a non running container: ${request.mode.target}`)
    }
    return root.id
  }

  async #build(sandbox: SandboxRecord): Promise<SandboxInfo> {
    const { records, store } = this.#p.context
    const netns = netnsOf(this.#p, sandbox)
    if (netns !== null) this.#makeNamespace(sandbox, netns)
    const placed: Placed[] = []
    for (const planned of this.#p.endpoints.of(sandbox.id))
      placed.push(await this.#p.endpoints.attach(planned, netns ?? ''))
    if (netns !== null) this.#finishNamespace(sandbox, netns, placed)
    this.#p.nameFiles.create(sandbox, placed)
    if (sandbox.mode === 'private') await this.#p.publishing.apply(sandbox, placed)
    const ready: SandboxRecord = { ...sandbox, phase: 'ready' }
    await this.#p.resolver.attach(ready, placed, netns)
    store.transaction(() => {
      records.setSandboxPhase(sandbox.id, 'ready')
      for (const { endpoint, network } of placed) {
        records.putEndpoint(endpoint)
        store.emit(networkEvent('connect', network, sandbox.id))
      }
    })
    this.#p.nameFiles.tellLinkers(sandbox.id)
    return describeSandbox(this.#p, ready)
  }

  #makeNamespace(sandbox: SandboxRecord, path: string): void {
    if (isNetns(path)) deleteNetns(path)
    createNetns(path, () => applySysctls(planSysctls(sandbox.request.sysctls).before))
  }

  #finishNamespace(sandbox: SandboxRecord, netns: string, placed: readonly Placed[]): void {
    applyDefaultRoutes(netns, [], placed)
    const { after } = planSysctls(sandbox.request.sysctls)
    if (after.length > 0) withNetns(netns, () => applySysctls(after))
  }

  /**
   * The owner of a shared sandbox is back: it gets its namespace again, changed where it now asks for something else. The sandbox is
   * not the owner's again before all of it is there: an attempt that fails, or dies, leaves it to be done again.
   */
  async #revive(there: SandboxRecord, request: SandboxRequest): Promise<SandboxInfo> {
    const { records, store } = this.#p.context
    if (there.mode !== request.mode.kind) {
      throw conflict(`the network of container ${request.name} is used by other containers: its mode cannot change`)
    }
    const sandbox: SandboxRecord = { ...there, name: request.name, request, phase: 'released' }
    const ready: SandboxRecord = { ...sandbox, phase: 'ready' }
    store.transaction(() => records.putSandbox(sandbox))
    try {
      await this.#exchangeEndpoints(ready, this.#wanted(request))
    } catch (error) {
      this.#p.resolver.forgetNames(sandbox.id)
      throw error
    }
    // The whole record: attaching writes it too, wish by wish.
    store.transaction(() => records.putSandbox(ready))
    return describeSandbox(this.#p, ready)
  }

  async #exchangeEndpoints(sandbox: SandboxRecord, wanted: ReadonlyMap<string, EndpointRequest>): Promise<void> {
    const before = this.#p.endpoints.of(sandbox.id)
    const missing = new Map(wanted)
    for (const placed of before) {
      if (isWanted(wanted, placed)) missing.delete(placed.network.id)
      else await this.#attachments.detach(sandbox, placed)
    }
    const added: Placed[] = []
    for (const wish of missing.values()) added.push(await this.#attachments.attach(sandbox, wish))
    await this.#attachments.settle(sandbox, before)
    this.#attachments.confirm(sandbox.id, added)
  }

  async delete(id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const { records, store } = this.#p.context
      const sandbox = records.sandbox(id)
      if (!sandbox || sandbox.phase === 'released') return
      if (sandbox.mode === 'container') return this.#leave(sandbox)
      const shared = store.transaction(() => {
        if (records.joiners(id).length === 0) return false
        records.setSandboxPhase(id, 'released')
        return true
      })
      if (shared) this.#p.resolver.forgetNames(id)
      else await this.destroy(sandbox)
    })
  }

  /** One that shares another's namespace goes. */
  async #leave(sandbox: SandboxRecord): Promise<void> {
    this.#p.context.records.deleteSandbox(sandbox.id)
    await this.#endIfUnused(sandbox.root)
  }

  /** The last one leaves a sandbox whose owner has given it back. */
  async #endIfUnused(root: string): Promise<void> {
    await this.#locks.run(root, async () => {
      const sandbox = this.#p.context.records.sandbox(root)
      if (sandbox?.phase === 'released' && this.#p.context.records.joiners(root).length === 0)
        await this.destroy(sandbox)
    })
  }

  /**
   * Takes a sandbox with a namespace of its own away, in whatever state it is. Traffic ends at once; interfaces end in the
   * background. Goes on when a part fails, and throws the first failure at the end: then the record stays, for another try.
   */
  async destroy(sandbox: SandboxRecord): Promise<void> {
    const { records, store, background, ipam } = this.#p.context
    const placed = this.#p.endpoints.of(sandbox.id)
    const netns = netnsOf(this.#p, sandbox)
    store.transaction(() => {
      records.setSandboxPhase(sandbox.id, 'deleting')
    })
    const failures: unknown[] = []
    const attempt = (work: () => void): void => {
      try {
        work()
      } catch (error) {
        failures.push(error)
      }
    }
    this.#p.resolver.detach(sandbox.id)
    attempt(() => this.#p.publishing.withdraw(sandbox.id))
    for (const one of placed) {
      attempt(() =>
        background.add(`removal of an endpoint of ${sandbox.name}`, this.#p.endpoints.detach(one, netns ?? '')),
      )
    }
    if (netns !== null) attempt(() => deleteNetns(netns))
    attempt(() => this.#p.nameFiles.remove(sandbox.id))
    if (failures.length > 0) throw failures[0]
    store.transaction(() => {
      for (const { endpoint, network } of placed) {
        records.deleteEndpoint(endpoint.id)
        if (endpoint.phase !== 'creating') store.emit(networkEvent('disconnect', network, sandbox.id))
      }
      ipam.releaseOwner(sandbox.id)
      this.#p.publishing.release(sandbox.id)
      records.deleteSandbox(sandbox.id)
    })
    this.#p.nameFiles.tellLinkers(sandbox.id)
  }

  async rename(id: string, name: string): Promise<{ sandbox?: SandboxInfo }> {
    return this.#locks.run(id, async () => {
      const { records, store, ports } = this.#p.context
      const sandbox = records.sandbox(id)
      if (!sandbox) return {}
      const renamed: SandboxRecord = { ...sandbox, name, request: { ...sandbox.request, name } }
      store.transaction(() => {
        records.putSandbox(renamed)
        ports.rename(id, name)
      })
      if (sandbox.phase === 'ready') {
        await this.#p.resolver.attach(renamed, this.#p.endpoints.of(id), netnsOf(this.#p, renamed))
      }
      return { sandbox: describeSandbox(this.#p, renamed) }
    })
  }

  inspect(id: string): SandboxInfo {
    return describeSandbox(this.#p, readySandbox(this.#p, id))
  }

  /** Removes sandboxes whose containers are no more; returns their ids. */
  async reconcile(keep: readonly string[]): Promise<string[]> {
    const wanted = new Set(keep)
    const strays = this.#p.context.records.sandboxes().filter((s) => !wanted.has(s.id) && s.phase !== 'released')
    // Those that share another's namespace first, so that it is free.
    strays.sort((a, b) => Number(a.root === a.id) - Number(b.root === b.id))
    for (const { id } of strays) await this.delete(id)
    return strays.map((s) => s.id)
  }
}

/** Host and none are networks too: their containers are listed as being on them. */
function endpointRequests(request: SandboxRequest): readonly EndpointRequest[] {
  const kind: SandboxKind = request.mode.kind
  if (kind === 'private') return request.endpoints
  if (kind === 'container') return []
  return [{ network: kind, aliases: [], links: [] }]
}

const isWanted = (wanted: ReadonlyMap<string, EndpointRequest>, { endpoint, network }: Placed): boolean =>
  endpoint.phase === 'ready' && isDeepStrictEqual(wanted.get(network.id), endpoint.request)

/** Labels and names change without the sandbox. */
const sameRequest = (a: SandboxRequest, b: SandboxRequest): boolean =>
  isDeepStrictEqual({ ...a, name: '', labels: {} }, { ...b, name: '', labels: {} })
