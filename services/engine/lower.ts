import { setTimeout as sleep } from 'node:timers/promises'
import { isAway, type Bus } from '../../shared/bus/index.ts'
import {
  cgroupContract,
  execContract,
  networkContract,
  storageContract,
  type CallOptions,
  type CgroupContract,
  type Client,
  type Contract,
  type ExecContract,
  type NetworkContract,
  type StorageContract,
} from '../../shared/contracts/index.ts'
import { isKind } from '../../shared/errors/index.ts'

export const LOWER_SERVICES = ['storage', 'network', 'cgroup', 'exec'] as const
export type LowerService = (typeof LOWER_SERVICES)[number]

/** How long a service that is being restarted is waited for. */
const PATIENCE_MS = 10_000

/**
 * Clients of the services below. Every verb is idempotent, so a request that found nobody is sent again until the service is
 * back (for some seconds), and one that was under way when its service was restarted is sent again at once.
 */
export class Lower {
  readonly storage: Client<StorageContract>
  readonly network: Client<NetworkContract>
  readonly cgroup: Client<CgroupContract>
  readonly exec: Client<ExecContract>
  readonly #patienceMs: number
  readonly #underWay: Record<LowerService, Set<() => void>> = {
    storage: new Set(),
    network: new Set(),
    cgroup: new Set(),
    exec: new Set(),
  }
  readonly #pids = new Map<LowerService, number>()

  constructor(bus: Pick<Bus, 'client'>, patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs
    this.storage = this.#patient('storage', storageContract, bus.client(storageContract))
    this.network = this.#patient('network', networkContract, bus.client(networkContract))
    this.cgroup = this.#patient('cgroup', cgroupContract, bus.client(cgroupContract))
    this.exec = this.#patient('exec', execContract, bus.client(execContract))
  }

  /** A service is known to run as `pid`; when that is a new one, what the old one left unanswered is asked again. */
  seen(service: LowerService, pid: number): void {
    const before = this.#pids.get(service)
    this.#pids.set(service, pid)
    if (before === undefined || before === pid) return
    for (const again of [...this.#underWay[service]]) again()
  }

  #patient<C extends Contract>(service: LowerService, contract: C, client: Client<C>): Client<C> {
    type Send = (request: unknown, options?: CallOptions) => Promise<unknown>
    const entries = Object.keys(contract.verbs).map((verb) => {
      const send = client[verb] as Send
      const patient: Send = (request, options) => this.#call(service, () => send(request, options))
      return [verb, patient] as const
    })
    return Object.fromEntries(entries) as Client<C>
  }

  async #call(service: LowerService, send: () => Promise<unknown>): Promise<unknown> {
    const deadline = performance.now() + this.#patienceMs
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      try {
        return await this.#sendOnce(service, send)
      } catch (error) {
        if (!isAway(error) || performance.now() + pause > deadline) throw error
        await sleep(pause)
      }
    }
  }

  /** Sends, and sends again each time the service is restarted meanwhile; the first answer counts. */
  #sendOnce(service: LowerService, send: () => Promise<unknown>): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const underWay = this.#underWay[service]
    let attempt = 0
    const go = () => {
      const mine = ++attempt
      send().then(resolve, (error: unknown) => {
        // The dead process's silence says nothing: a later attempt is on its way.
        if (mine === attempt || !isKind(error, 'unavailable')) reject(error)
      })
    }
    underWay.add(go)
    go()
    return promise.finally(() => underWay.delete(go))
  }
}
