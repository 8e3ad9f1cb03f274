import type { EndpointRequest, SandboxRequest } from '../../shared/contracts/index.ts'
import type { DriverState } from '../../shared/drivers/index.ts'
import type { Store } from '../../shared/store/index.ts'
import type { Pool, PoolWish } from './ipam/index.ts'

/** A network as its creator said it, with all defaults filled in. */
export interface NetworkSettings {
  readonly internal: boolean
  readonly attachable: boolean
  readonly ipv4: boolean
  readonly ipv6: boolean
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly ipamOptions: Readonly<Record<string, string>>
  readonly pools: readonly Pool[]
  /** Nothing but settings for other networks (`--config-only`): the subnets that those are to ask for. */
  readonly template?: readonly PoolWish[]
  /** The network whose settings this one has (`--config-from`). */
  readonly configFrom?: string
}

export interface NetworkRecord extends NetworkSettings {
  readonly id: string
  readonly name: string
  readonly driver: string
  readonly state: DriverState | undefined
  readonly phase: 'creating' | 'ready' | 'deleting' | 'gone'
  readonly predefined: boolean
  /** RFC 3339 */
  readonly created: string
}

export type SandboxKind = 'private' | 'host' | 'none' | 'container'

export interface SandboxRecord {
  readonly id: string
  readonly name: string
  readonly mode: SandboxKind
  /** The sandbox whose namespace this one uses: its own id, unless it joined another. */
  readonly root: string
  readonly request: SandboxRequest
  readonly phase: 'creating' | 'ready' | 'released' | 'deleting'
}

export interface EndpointRecord {
  readonly id: string
  readonly sandbox: string
  readonly network: string
  /** Empty where the driver makes none. */
  readonly interface: string
  readonly mac: string
  /** Without prefix length; empty for none. */
  readonly ipv4: string
  readonly ipv6: string
  readonly request: EndpointRequest
  readonly state: DriverState | undefined
  readonly hostInterface: string
  readonly phase: 'creating' | 'ready' | 'deleting'
  readonly position: number
}

export type LiveInterface = Pick<EndpointRecord, 'sandbox' | 'interface' | 'hostInterface'>

interface NetworkRow {
  id: string
  name: string
  driver: string
  record: string
  state: string | null
  phase: NetworkRecord['phase']
  predefined: number
  created: string
}
interface SandboxRow extends Omit<SandboxRecord, 'request'> {
  request: string
}
interface EndpointRow extends Omit<EndpointRecord, 'request' | 'state' | 'hostInterface'> {
  request: string
  state: string | null
  host_interface: string
}

const parse = <T>(json: string): T => JSON.parse(json) as T
const parseState = (json: string | null): DriverState | undefined => (json === null ? undefined : parse(json))

const network = (r: NetworkRow): NetworkRecord => ({
  ...parse<NetworkSettings>(r.record),
  id: r.id,
  name: r.name,
  driver: r.driver,
  state: parseState(r.state),
  phase: r.phase,
  predefined: r.predefined === 1,
  created: r.created,
})
const sandbox = (r: SandboxRow): SandboxRecord => ({ ...r, request: parse(r.request) })
const endpoint = ({ host_interface: hostInterface, ...r }: EndpointRow): EndpointRecord => ({
  ...r,
  hostInterface,
  request: parse(r.request),
  state: parseState(r.state),
})

/** The service's tables as objects. All calls are synchronous; the caller makes the transactions. */
export class Records {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  networks(): NetworkRecord[] {
    return this.#store.all<NetworkRow>('SELECT * FROM networks ORDER BY created, id').map(network)
  }

  network(id: string): NetworkRecord | undefined {
    const row = this.#store.get<NetworkRow>('SELECT * FROM networks WHERE id = ?', id)
    return row && network(row)
  }

  networkNamed(name: string): NetworkRecord | undefined {
    const row = this.#store.get<NetworkRow>(
      "SELECT * FROM networks WHERE name = ? AND phase IN ('creating', 'ready')",
      name,
    )
    return row && network(row)
  }

  /** Ready networks whose id begins with this. */
  networksLike(prefix: string): NetworkRecord[] {
    if (!/^[a-f0-9]{1,64}$/.test(prefix)) return []
    return this.#store
      .all<NetworkRow>("SELECT * FROM networks WHERE phase = 'ready' AND id LIKE ? || '%'", prefix)
      .map(network)
  }

  putNetwork(r: NetworkRecord): void {
    const { id, name, driver, state, phase, predefined, created, ...settings } = r
    this.#store.run(
      `INSERT INTO networks (id, name, driver, record, state, phase, predefined, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET record = excluded.record, state = excluded.state, phase = excluded.phase`,
      id,
      name,
      driver,
      JSON.stringify(settings),
      state === undefined ? null : JSON.stringify(state),
      phase,
      predefined ? 1 : 0,
      created,
    )
  }

  setNetworkPhase(id: string, phase: NetworkRecord['phase']): void {
    this.#store.run('UPDATE networks SET phase = ? WHERE id = ?', phase, id)
  }

  setNetworkState(id: string, state: DriverState): void {
    this.#store.run('UPDATE networks SET state = ? WHERE id = ?', JSON.stringify(state), id)
  }

  deleteNetwork(id: string): void {
    this.#store.run('DELETE FROM networks WHERE id = ?', id)
  }

  sandboxes(): SandboxRecord[] {
    return this.#store.all<SandboxRow>('SELECT * FROM sandboxes ORDER BY id').map(sandbox)
  }

  sandbox(id: string): SandboxRecord | undefined {
    const row = this.#store.get<SandboxRow>('SELECT * FROM sandboxes WHERE id = ?', id)
    return row && sandbox(row)
  }

  /** Sandboxes that share this one's namespace, without itself. */
  joiners(id: string): SandboxRecord[] {
    return this.#store.all<SandboxRow>('SELECT * FROM sandboxes WHERE root = ? AND id <> ?', id, id).map(sandbox)
  }

  putSandbox(r: SandboxRecord): void {
    this.#store.run(
      `INSERT INTO sandboxes (id, name, mode, root, request, phase) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, mode = excluded.mode, root = excluded.root,
         request = excluded.request, phase = excluded.phase`,
      r.id,
      r.name,
      r.mode,
      r.root,
      JSON.stringify(r.request),
      r.phase,
    )
  }

  setSandboxPhase(id: string, phase: SandboxRecord['phase']): void {
    this.#store.run('UPDATE sandboxes SET phase = ? WHERE id = ?', phase, id)
  }

  deleteSandbox(id: string): void {
    this.#store.run('DELETE FROM sandboxes WHERE id = ?', id)
  }

  endpoints(): EndpointRecord[] {
    return this.#store.all<EndpointRow>('SELECT * FROM endpoints ORDER BY sandbox, position').map(endpoint)
  }

  endpointsOf(sandboxId: string): EndpointRecord[] {
    return this.#store
      .all<EndpointRow>('SELECT * FROM endpoints WHERE sandbox = ? ORDER BY position', sandboxId)
      .map(endpoint)
  }

  endpointsOn(networkId: string): EndpointRecord[] {
    return this.#store
      .all<EndpointRow>('SELECT * FROM endpoints WHERE network = ? ORDER BY sandbox', networkId)
      .map(endpoint)
  }

  /** Interfaces of all sandboxes that are up, without parsing what belongs to them: read once a second. */
  liveInterfaces(): LiveInterface[] {
    return this.#store.all<LiveInterface & Record<string, string>>(
      `SELECT e.sandbox, e.interface, e.host_interface AS hostInterface FROM endpoints e JOIN sandboxes s ON s.id = e.sandbox
       WHERE s.phase IN ('ready', 'released') AND e.phase = 'ready' AND e.interface <> '' ORDER BY e.sandbox, e.position`,
    )
  }

  putEndpoint(r: EndpointRecord): void {
    this.#store.run(
      `INSERT INTO endpoints (id, sandbox, network, interface, mac, ipv4, ipv6, request, state, host_interface, phase, position)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET request = excluded.request, state = excluded.state,
         host_interface = excluded.host_interface, phase = excluded.phase`,
      r.id,
      r.sandbox,
      r.network,
      r.interface,
      r.mac,
      r.ipv4,
      r.ipv6,
      JSON.stringify(r.request),
      r.state === undefined ? null : JSON.stringify(r.state),
      r.hostInterface,
      r.phase,
      r.position,
    )
  }

  setEndpointPhase(id: string, phase: EndpointRecord['phase']): void {
    this.#store.run('UPDATE endpoints SET phase = ? WHERE id = ?', phase, id)
  }

  deleteEndpoint(id: string): void {
    this.#store.run('DELETE FROM endpoints WHERE id = ?', id)
  }
}
