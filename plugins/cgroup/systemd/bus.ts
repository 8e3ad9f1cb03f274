import type { DBusError, MessageBus } from 'dbus-native'
import { unavailable } from '../../../shared/errors/index.ts'
import type { UnitProperty } from './properties.ts'

const PATH = '/org/freedesktop/systemd1'
const MANAGER = 'org.freedesktop.systemd1.Manager'
const TIMEOUT_MS = 10_000
const KNOCK_MS = 20

/** What the driver asks of systemd (org.freedesktop.systemd1(5)). */
export interface SystemdBus {
  /** systemd's version, for example `252.38-1`. */
  version(): Promise<string>
  /** Until the next boot; all or none. */
  setProperties(unit: string, properties: readonly UnitProperty[]): Promise<void>
  /** What they are now, in the form in which they can be set again. */
  getProperties(unit: string, properties: readonly UnitProperty[]): Promise<UnitProperty[]>
  /** Waits until it has stopped; a unit that is not there is no error. */
  stop(unit: string): Promise<void>
  close(): void
}

const isMissing = (error: unknown): boolean => (error as DBusError).dbusName === 'org.freedesktop.systemd1.NoSuchUnit'

/**
 * systemd's manager, on its own socket: root speaks to it without a bus daemon between, which need not be there then. Connects at the
 * first call; a lost connection is made anew at the next.
 */
export class SystemdDBus implements SystemdBus {
  readonly #socket: string
  #bus: Promise<MessageBus> | undefined
  /** Results of jobs that nobody waited for yet, and those who wait, by job path. */
  readonly #ended = new Map<string, string>()
  readonly #waiting = new Map<string, (result: string) => void>()

  constructor(socket = '/run/systemd/private') {
    this.#socket = socket
  }

  #connect(): Promise<MessageBus> {
    this.#bus ??= this.#open().catch((error: unknown) => {
      this.#bus = undefined
      throw error
    })
    return this.#bus
  }

  async #open(): Promise<MessageBus> {
    // Loaded when it is needed: most machines that run this never do.
    const { createClient } = await import('dbus-native')
    // `direct`: no Hello, which is the bus daemon's.
    const bus = createClient({ socket: this.#socket, direct: true })
    const lost = new Promise<never>((_, reject) => {
      bus.connection.on('error', reject)
      bus.connection.on('end', () => reject(unavailable('systemd closed the connection')))
    })
    lost.catch(() => void (this.#bus = undefined))
    bus.signals.on(bus.mangle(PATH, MANAGER, 'JobRemoved'), (body: unknown[]) => this.#jobRemoved(body))
    const subscribed = bus.invoke({ path: PATH, interface: MANAGER, member: 'Subscribe' }, { timeout: TIMEOUT_MS })
    // When the end of the handshake and the first message come in one read, systemd (252) sees the message only when more
    // comes after it.
    const knock = setInterval(() => {
      bus.invoke({ path: PATH, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }, () => undefined)
    }, KNOCK_MS)
    try {
      await Promise.race([subscribed, lost])
    } finally {
      clearInterval(knock)
    }
    return bus
  }

  async #call<T>(member: string, signature = '', body: unknown[] = [], path = PATH, iface = MANAGER): Promise<T> {
    const bus = await this.#connect()
    const message = { path, interface: iface, member, signature, body }
    return bus.invoke<T>(message, { timeout: TIMEOUT_MS })
  }

  #jobRemoved(body: unknown[]): void {
    const [, job, , result] = body as [number, string, string, string]
    const waiting = this.#waiting.get(job)
    this.#waiting.delete(job)
    if (waiting) waiting(result)
    else this.#ended.set(job, result)
    // Jobs of others come by, too.
    for (const old of [...this.#ended.keys()].slice(0, -100)) this.#ended.delete(old)
  }

  /** The signal may come before the answer that names the job. */
  async #job(job: string): Promise<string> {
    const result = this.#ended.get(job)
    if (result !== undefined) return result
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<string>((resolve, reject) => {
        this.#waiting.set(job, resolve)
        timer = setTimeout(() => reject(unavailable(`systemd does not end job ${job}`)), TIMEOUT_MS)
      })
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(job)
    }
  }

  async version(): Promise<string> {
    const { variantValue } = await import('dbus-native')
    const answer = await this.#call('Get', 'ss', [MANAGER, 'Version'], PATH, 'org.freedesktop.DBus.Properties')
    return variantValue<string>(answer)
  }

  async setProperties(unit: string, properties: readonly UnitProperty[]): Promise<void> {
    if (properties.length === 0) return
    await this.#call('SetUnitProperties', 'sba(sv)', [unit, true, variants(properties)])
  }

  async getProperties(unit: string, properties: readonly UnitProperty[]): Promise<UnitProperty[]> {
    const { variantValue } = await import('dbus-native')
    const path = await this.#call<string>('GetUnit', 's', [unit])
    const iface = unit.endsWith('.slice') ? 'Slice' : 'Scope'
    return Promise.all(
      properties.map(async ([name, signature]): Promise<UnitProperty> => {
        const query = [`org.freedesktop.systemd1.${iface}`, name]
        const answer = await this.#call('Get', 'ss', query, path, 'org.freedesktop.DBus.Properties')
        return [name, signature, variantValue(answer)]
      }),
    )
  }

  async stop(unit: string): Promise<void> {
    try {
      await this.#job(await this.#call<string>('StopUnit', 'ss', [unit, 'replace']))
      // A unit that failed (its processes were killed) would stay in systemd's memory.
      await this.#call('ResetFailedUnit', 's', [unit])
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }

  close(): void {
    const bus = this.#bus
    this.#bus = undefined
    bus?.then(
      (b) => b.connection.end(),
      () => undefined,
    )
  }
}

const variants = (properties: readonly UnitProperty[]): [string, [string, unknown]][] =>
  properties.map(([name, signature, value]) => [name, [signature, value]])
