import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bus } from '../../../shared/bus/index.ts'
import type { Client, Contract, EventMessage } from '../../../shared/contracts/index.ts'
import { unavailable } from '../../../shared/errors/index.ts'
import { createLogger, withTrace } from '../../../shared/log/index.ts'
import { Store } from '../../../shared/store/index.ts'
import { createEngine, newId, type Engine } from '../engine.ts'
import { hear } from '../facts.ts'
import { createHandlers } from '../handlers.ts'
import { recover } from '../main.ts'
import { migrations } from '../migrations.ts'
import type { LowerService } from '../lower.ts'
import { FakeServices, type FakeProcess } from './fakes.ts'

/** What a test does to a verb, once unless it says otherwise: fail it, hold it, or let the engine die at it. */
interface Fault {
  readonly verb: string
  readonly act: (proceed: () => Promise<unknown>) => Promise<unknown>
  times: number
}

const never = (): Promise<never> => new Promise(() => undefined)

/**
 * Engines on one database, one after the other, in front of fake lower services that outlive them. An engine can
 * be made to die at any of its calls: it then never hears an answer again, and a new one starts on what it left.
 */
export class World extends FakeServices {
  readonly dir = mkdtempSync(join(tmpdir(), 'gantry-engine-'))
  /** `service.verb`, in the order of arrival. */
  calls: string[] = []
  /** Per verb, the requests. */
  readonly requests: { verb: string; request: unknown }[] = []
  readonly down = new Set<LowerService>()
  readonly #faults: Fault[] = []
  #generation = 0
  #store: Store | undefined
  #engine: Engine | undefined

  get engine(): Engine {
    if (!this.#engine) throw new Error('no engine runs')
    return this.#engine
  }
  get verbs(): ReturnType<typeof createHandlers> {
    return createHandlers(this.engine)
  }

  /** Starts an engine, after the one before was left for dead; with another `start`, as `gantry up` does. */
  async boot(start = 'first'): Promise<Engine> {
    this.#generation++
    this.#store?.close()
    this.#store = new Store(join(this.dir, 'engine.db'), migrations, 'test')
    const config = {
      node: 'test',
      root: this.dir,
      run: this.dir,
      engine: 'gtest',
      socket: '',
      cgroupParent: '/gtest',
      start,
    }
    this.#engine = createEngine({
      config,
      log: createLogger('engine-test', 'silent'),
      store: this.#store,
      bus: this.bus(),
      patienceMs: 200,
    })
    await recover(this.#engine)
    return this.#engine
  }

  /** The bus of the engine that runs now. */
  bus(): Pick<Bus, 'client'> {
    const generation = this.#generation
    return { client: (contract) => this.#client(contract, generation) }
  }

  /** Ends everything and removes the database. */
  async close(): Promise<void> {
    this.#engine?.stopping.abort()
    this.#engine?.restarter.stop()
    this.#engine?.health.stop()
    this.#generation++
    this.#store?.close()
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** The next call of a verb (`exec.process.run`) fails. */
  fail(verb: string, error: Error, times = 1): void {
    this.#faults.push({ verb, times, act: () => Promise.reject(error) })
  }

  /** The next call of a verb fails after the service has done it. */
  failAfter(verb: string, error: Error): void {
    this.#faults.push({ verb, times: 1, act: (proceed) => proceed().then(() => Promise.reject(error)) })
  }

  /** The next call of a verb waits until the returned function is called. */
  hold(verb: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#faults.push({ verb, times: 1, act: (proceed) => promise.then(proceed) })
    return resolve
  }

  /** The engine dies at its next call of a verb, before or after the service did it. Resolves when it is dead. */
  dieAt(verb: string, when: 'before' | 'after'): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const act = async (proceed: () => Promise<unknown>) => {
      if (when === 'after') await proceed().catch(() => undefined)
      this.#generation++
      resolve()
      return never()
    }
    this.#faults.push({ verb, times: 1, act })
    return promise
  }

  #client<C extends Contract>(contract: C, generation: number): Client<C> {
    const handlers = this.services()[contract.service as LowerService] as Record<
      string,
      (r: unknown) => Promise<unknown>
    >
    const entries = Object.keys(contract.verbs).map((verb) => [
      verb,
      async (request: unknown) => {
        const mine = () => generation === this.#generation
        if (!mine()) return never()
        const name = `${contract.service}.${verb}`
        await Promise.resolve()
        if (this.down.has(contract.service as LowerService))
          throw unavailable(`the ${contract.service} service is not there`, { cause: 'no responders' })
        this.calls.push(name)
        this.requests.push({ verb: name, request: structuredClone(request) })
        const proceed = async () => structuredClone((await handlers[verb]?.(request)) ?? {})
        const fault = this.#faults.find((f) => f.verb === name && f.times > 0)
        if (fault) fault.times--
        try {
          const result = await (fault ? fault.act(proceed) : proceed())
          return mine() ? result : await never()
        } catch (error) {
          if (!mine()) return never()
          throw error
        }
      },
    ])
    return Object.fromEntries(entries) as Client<C>
  }

  /** A container's process ends, and the fact of it arrives. */
  async exit(id: string, exitCode: number): Promise<void> {
    const process = this.die(id, exitCode)
    if (process) await this.tellExit(id, process)
  }

  /** A container's process ends; nobody tells. */
  die(id: string, exitCode: number): FakeProcess | undefined {
    const process = this.processes.get(id)
    if (process?.status !== 'running') return undefined
    Object.assign(process, { status: 'exited', exitCode, finishedAt: new Date().toISOString(), pid: 0 })
    return process
  }

  tellExit(id: string, { instance, exitCode = 0, finishedAt = '' }: FakeProcess): Promise<void> {
    return hear(this.engine, 'exec.process.exited', { id, instance, exitCode, finishedAt })
  }

  /** Events so far, as `action` or `action attr=value` for those asked for. */
  events(): { action: string; id: string; attributes: Record<string, string> }[] {
    const rows = this.#store?.all<{ payload: string }>('SELECT payload FROM outbox ORDER BY id') ?? []
    return rows.map((row) => {
      const { Action, Actor } = JSON.parse(row.payload) as EventMessage
      return { action: Action, id: Actor.ID, attributes: Actor.Attributes }
    })
  }
  actions(): string[] {
    return this.events().map((e) => e.action)
  }

  /** What is left of containers in the lower services. */
  leftovers(): string[] {
    return [
      ...[...this.layers].filter(([, l]) => l.mounted).map(([id]) => `mount ${id}`),
      ...[...this.sandboxes.keys()].map((id) => `sandbox ${id}`),
      ...[...this.groups.keys()].map((id) => `cgroup ${id}`),
      ...[...this.processes.keys()].map((id) => `process ${id}`),
    ]
  }

  /** A request as the gateway sends it; with the same id it is the same one, sent again. */
  ask<V extends keyof ReturnType<typeof createHandlers>>(
    request: string,
    verb: V,
    body: Parameters<ReturnType<typeof createHandlers>[V]>[0],
  ): Promise<unknown> {
    const handler = this.verbs[verb] as (body: unknown, call: object) => Promise<unknown>
    return withTrace({ request }, () => handler(body, {}))
  }

  /** A container, made. */
  async create(name = '', body: Record<string, unknown> = {}): Promise<string> {
    const { id } = await this.verbs['container.create'](
      { id: newId(), name, body: { Image: 'busybox', ...body } },
      { verb: '', job: undefined, traceparent: undefined },
    )
    return id
  }
}
