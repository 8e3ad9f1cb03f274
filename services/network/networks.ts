import type { Filters, Json } from '../../shared/contracts/index.ts'
import type { GatewayMode, HostSide } from '../../shared/drivers/index.ts'
import { conflict, forbidden, invalid, isKind, notFound } from '../../shared/errors/index.ts'
import { Locks } from '../../shared/async/locks.ts'
import { configNetwork, refuseInherited, withConfigFrom } from './config-networks.ts'
import { driven, type NetworkContext } from './context.ts'
import { FinishedRemovals } from './finished-removals.ts'
import { FAMILIES, type Family, type FirewallNetwork } from './firewall/index.ts'
import { hostRoutes } from './host-routes.ts'
import type { PoolWish } from './ipam/index.ts'
import { networkEvent, pruneEvent } from './network-events.ts'
import { BRIDGE_NAME, DEFAULT_BRIDGE, flagOption } from './network-options.ts'
import { type NetworkWish, readNetworkRequest } from './network-request.ts'
import { filterNetworks, networkView, type NetworkUser } from './network-view.ts'
import type { NetworkRecord } from './records.ts'

/** The networks of this engine: made, shown, removed. */
export class Networks {
  readonly #c: NetworkContext
  readonly #locks = new Locks()
  readonly #finished: FinishedRemovals
  /** What recovery takes away of networks that were half made: their ids and names are taken until then. */
  #undoing: Promise<unknown> = Promise.resolve()

  constructor(context: NetworkContext) {
    this.#c = context
    this.#finished = new FinishedRemovals(context.store)
  }

  /** Makes a network. The same id again returns what is there. */
  async create(id: string, spec: Json): Promise<{ id: string; warning: string }> {
    return this.#locks.run(id, async () => {
      await this.#undoing
      const there = this.#c.records.network(id)
      if (there?.phase === 'ready') return { id, warning: '' }
      if (there) throw conflict(`network ${id} is being removed`)
      const wish = withConfigFrom(readNetworkRequest(spec), (ref) => this.resolve(ref))
      if (flagOption(wish.options, DEFAULT_BRIDGE) === true) {
        throw invalid(`option ${DEFAULT_BRIDGE}=true cannot be: the default bridge is the network "bridge"`)
      }
      if (wish.configOnly) this.#define(configNetwork(id, wish))
      else await this.make(id, wish, { predefined: false })
      this.#finished.forget(wish.name)
      return { id, warning: '' }
    })
  }

  /** A network that is nothing but settings. */
  #define(network: NetworkRecord): void {
    const { store, records } = this.#c
    store.transaction(() => {
      this.#refuseTaken(network.name)
      records.putNetwork(network)
      store.emit(networkEvent('create', network))
    })
  }

  #refuseTaken(name: string): void {
    if (this.#c.records.networkNamed(name)) throw conflict(`network with name ${name} already exists`)
  }

  /** The whole of making a network; intent first, undone when the kernel refuses. */
  async make(id: string, wish: NetworkWish, options: { predefined: boolean }): Promise<NetworkRecord> {
    const { store, records, drivers, ipam } = this.#c
    const driver = wish.driver === '' ? drivers.default() : drivers.get(wish.driver)
    const { singleton, ipam: needsPools, connectivity } = driver.manifest.capabilities
    if (singleton === true && !options.predefined) {
      throw forbidden(`only one instance of "${driver.manifest.name}" network is allowed`)
    }
    const { pools: wishes, driver: _, configOnly: __, ...settings } = wish
    const routes = needsPools === true ? await hostRoutes(wish.options[BRIDGE_NAME]) : []
    const network = store.transaction(() => {
      this.#refuseTaken(wish.name)
      const bare: NetworkRecord = {
        ...settings,
        id,
        driver: driver.manifest.name,
        pools: [],
        state: undefined,
        phase: 'creating',
        predefined: options.predefined,
        created: new Date().toISOString(),
      }
      const owner = { id, name: wish.name, onHostNetwork: connectivity === 'l2' }
      const pools =
        needsPools === true ? ipam.requestPools(owner, withoutIsolated(wishes, hostSideOf(this.#c, bare)), routes) : []
      const network = { ...bare, pools }
      driver.validate(driven(this.#c, network).spec)
      this.#refuseSharedBridge(network)
      records.putNetwork(network)
      return network
    })
    try {
      const state = await driver.createNetwork(driven(this.#c, network).spec)
      const ready: NetworkRecord = { ...network, state, phase: 'ready' }
      const wall = firewallNetwork(this.#c, ready)
      if (wall) this.#c.firewall.addNetwork(wall)
      store.transaction(() => {
        records.putNetwork(ready)
        if (!options.predefined) store.emit(networkEvent('create', ready))
      })
      return ready
    } catch (error) {
      await this.#undo(network).catch((failure: unknown) => {
        this.#c.log.warn({ network: id, failure }, 'a half-made network could not be taken away')
      })
      throw error
    }
  }

  /** Two networks on one bridge would not be kept apart, and one would go with the other. */
  #refuseSharedBridge(network: NetworkRecord): void {
    const device = network.options[BRIDGE_NAME]
    if (!device) return
    const other = this.#c.records
      .networks()
      .filter((n) => n.phase !== 'gone' && n.driver === network.driver)
      .find((n) => hostSideOf(this.#c, n)?.interface === device)
    if (!other) return
    throw forbidden(
      `cannot create network ${network.name} (${device}): conflicts with network ${other.name} (${other.id}): ` +
        'networks have same bridge name',
    )
  }

  async #undo(network: NetworkRecord): Promise<void> {
    this.#c.firewall.removeNetwork(network.id)
    const { driver, spec } = driven(this.#c, network)
    await driver.deleteNetwork(spec, undefined)
    this.#forget(network)
  }

  /** Undoes, in the background, a network whose making was cut short; new ones wait for it. */
  undoInBackground(network: NetworkRecord): void {
    const undone = this.#undo(network)
    this.#undoing = Promise.allSettled([this.#undoing, undone])
    this.#c.background.add(`removal of network ${network.name}`, undone)
  }

  /** Resolves when nothing of networks that were half made is left. */
  async undone(): Promise<void> {
    await this.#undoing
  }

  #forget(network: NetworkRecord): void {
    this.#c.store.transaction(() => {
      this.#c.ipam.releasePools(network.id)
      this.#c.records.deleteNetwork(network.id)
    })
  }

  /** A ready network by full id, name, or unique id prefix; `default` is the default bridge. */
  resolve(ref: string): NetworkRecord {
    const { records } = this.#c
    const byId = records.network(ref)
    if (byId?.phase === 'ready') return byId
    const byName = records.networkNamed(ref === 'default' ? 'bridge' : ref)
    if (byName?.phase === 'ready') return byName
    const [like, other] = records.networksLike(ref)
    if (like && other) {
      throw invalid(
        `network ${ref} is ambiguous (${records.networksLike(ref).length} matches found based on ID prefix)`,
      )
    }
    if (like) return like
    throw notFound(`network ${ref} not found`)
  }

  list(filters: Filters): Json[] {
    const used = new Set(this.#c.records.endpoints().map((e) => e.network))
    const ready = this.#c.records.networks().filter((n) => n.phase === 'ready')
    return filterNetworks(ready, filters, (n) => used.has(n.id)).map((n) => networkView(n, []))
  }

  inspect(ref: string, scope = ''): Json {
    const network = this.resolve(ref)
    if (scope !== '' && scope !== 'local') throw notFound(`network ${ref} not found`)
    return networkView(network, this.#users(network))
  }

  #users(network: NetworkRecord): NetworkUser[] {
    return this.#c.records
      .endpointsOn(network.id)
      .filter((e) => e.phase === 'ready')
      .map((endpoint) => ({
        endpoint,
        container: endpoint.sandbox,
        name: this.#c.records.sandbox(endpoint.sandbox)?.name ?? '',
      }))
  }

  /** Removes a network that nobody uses. */
  async remove(ref: string): Promise<void> {
    const id = this.#toRemove(ref)
    if (id === undefined) return
    await this.#locks.run(id, async () => {
      const network = this.#c.store.transaction(() => {
        const network = this.resolve(id)
        if (network.predefined) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`)
        this.#refuseInUse(network)
        refuseInherited(network, this.#c.records.networks())
        this.#c.records.setNetworkPhase(id, 'deleting')
        return network
      })
      this.finishRemoval(network)
    })
  }

  /** Undefined when recovery has removed it, and this is who asked for that. */
  #toRemove(ref: string): string | undefined {
    try {
      return this.resolve(ref).id
    } catch (error) {
      if (isKind(error, 'not-found') && this.#finished.take(ref)) return undefined
      throw error
    }
  }

  /** A removal that was cut short: who asked for it asks again. */
  finishInterrupted(network: NetworkRecord): void {
    this.#finished.note(network)
    if (network.phase === 'deleting') this.finishRemoval(network)
    else this.#forgetWhenGone(network, this.#endDevice(network))
  }

  #refuseInUse(network: NetworkRecord): void {
    const users = this.#c.records.endpointsOn(network.id)
    if (users.length === 0) return
    const names = users.map((e) => `name:"${this.#c.records.sandbox(e.sandbox)?.name ?? ''}" id:"${e.id.slice(0, 12)}"`)
    throw forbidden(`error while removing network: network ${network.name} has active endpoints (${names.join(', ')})`)
  }

  /** From phase `deleting` on: out of the firewall and out of sight at once; its device ends in the background. */
  finishRemoval(network: NetworkRecord): void {
    const { store, records, ipam, firewall } = this.#c
    const gone = this.#endDevice(network)
    firewall.removeNetwork(network.id)
    store.transaction(() => {
      ipam.releasePools(network.id)
      records.setNetworkPhase(network.id, 'gone')
      if (!network.predefined) store.emit(networkEvent('destroy', network))
    })
    this.#forgetWhenGone(network, gone)
  }

  /** Its device carries nothing any more when this returns. */
  #endDevice(network: NetworkRecord): Promise<void> {
    const { driver, spec } = driven(this.#c, network)
    return driver.deleteNetwork(spec, network.state)
  }

  #forgetWhenGone({ id, name }: NetworkRecord, gone: Promise<void>): void {
    this.#c.background.add(
      `removal of network ${name}`,
      gone.then(() => this.#c.records.deleteNetwork(id)),
    )
  }

  async prune(filters: Filters): Promise<{ NetworksDeleted: string[] }> {
    const used = new Set(this.#c.records.endpoints().map((e) => e.network))
    const candidates = this.#c.records
      .networks()
      .filter((n) => n.phase === 'ready' && !n.predefined && !n.template && !used.has(n.id))
    const deleted: string[] = []
    for (const network of filterNetworks(candidates, filters, () => false)) {
      try {
        await this.remove(network.id)
        deleted.push(network.name)
      } catch (error) {
        this.#c.log.warn({ network: network.name, error }, 'network could not be pruned')
      }
    }
    this.#c.store.emit(pruneEvent)
    return { NetworksDeleted: deleted }
  }

  idle(): Promise<void> {
    return this.#locks.idle()
  }
}

/** What the firewall must know of a network; undefined when it has no device on the host. */
export function firewallNetwork(c: NetworkContext, network: NetworkRecord): FirewallNetwork | undefined {
  const side = network.state && hostSideOf(c, network)
  if (!side) return undefined
  const those = (test: (mode: GatewayMode) => boolean): Family[] => FAMILIES.filter((f) => test(side.gatewayMode[f]))
  return {
    id: network.id,
    bridge: side.interface,
    internal: network.internal,
    icc: side.icc,
    masquerade: side.masquerade ? those((mode) => mode !== 'routed') : [],
    routed: those((mode) => mode === 'routed'),
    unprotected: those((mode) => mode === 'nat-unprotected'),
    ipv6: network.ipv6,
  }
}

export function hostSideOf(c: Pick<NetworkContext, 'drivers'>, network: NetworkRecord): HostSide | undefined {
  const { driver, spec } = driven(c, network)
  return driver.hostSide(spec)
}

/** Where the host has no address of its own, none is kept for it, unless somebody asks for that. */
const withoutIsolated = (wishes: readonly PoolWish[], side: HostSide | undefined): PoolWish[] =>
  wishes.map((wish) =>
    side?.gatewayMode[wish.v6 === true ? 'ipv6' : 'ipv4'] === 'isolated' ? { ...wish, withoutGateway: true } : wish,
  )
