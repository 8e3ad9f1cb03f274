import type {
  DriverContext,
  DriverState,
  EndpointResult,
  EndpointSpec,
  NetworkDriver,
  NetworkSpec,
  ProbeResult,
  RecoveredNetwork,
  RecoveryReport,
} from '../../../shared/drivers/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { manifest } from './manifest.ts'

/** A network without interfaces: the smallest driver there can be. Put the deciding parts into a pure `plan.ts`. */
export class TemplateDriver implements NetworkDriver {
  readonly manifest = manifest
  readonly #context: DriverContext

  constructor(context: DriverContext) {
    this.#context = context
  }

  /** Really try what the driver needs of the kernel; withScratchNetns (shared/kernel/netns.ts) is a place for that. */
  probe(): Promise<ProbeResult> {
    return Promise.resolve({ usable: true, rank: -1 })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  validate(network: NetworkSpec): void {
    const [option] = Object.keys(network.options)
    if (option !== undefined) throw invalid(`the ${manifest.name} driver has no option "${option}"`)
  }

  /** Makes the device on the host, or adopts the one that is there. */
  createNetwork(network: NetworkSpec): Promise<DriverState> {
    this.#context.log.debug({ network: network.id }, 'nothing to make')
    return Promise.resolve({ version: 1 })
  }

  deleteNetwork(_network: NetworkSpec, _state: DriverState | undefined): Promise<void> {
    return Promise.resolve()
  }

  /** Puts an interface into the sandbox: name, MAC, addresses, up. */
  createEndpoint(_network: NetworkSpec, _state: DriverState, _endpoint: EndpointSpec): Promise<EndpointResult> {
    return Promise.resolve({ state: { version: 1 } })
  }

  deleteEndpoint(_network: NetworkSpec, _endpoint: EndpointSpec, _state: DriverState | undefined): Promise<void> {
    return Promise.resolve()
  }

  recover(_networks: readonly RecoveredNetwork[]): Promise<RecoveryReport> {
    return Promise.resolve({ networks: [], endpoints: [], failures: [], removed: [] })
  }

  hostSide(): undefined {
    return undefined
  }
}
