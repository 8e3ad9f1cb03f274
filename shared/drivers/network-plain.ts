import Type from 'typebox'
import { invalid } from '../errors/index.ts'
import type { DriverManifest } from './driver.ts'
import type { NetworkDriver, NetworkDriverModule, NetworkSpec } from './network.ts'

/**
 * A driver that holds nothing in the kernel: what its connectivity says is all there is to it, and the service acts on
 * that when it makes the sandbox.
 */
export function withoutDevice(name: string, connectivity: 'host' | 'none' | 'joined'): NetworkDriverModule {
  const manifest = {
    kind: 'network',
    name,
    version: '1.0.0',
    contract: 1,
    capabilities: { connectivity, dns: false, portMapping: false, ipam: false, singleton: true, ipv6: false },
    options: Type.Object({}, { additionalProperties: false }),
  } as const satisfies DriverManifest
  const state = { version: 1 }
  const driver: NetworkDriver = {
    manifest,
    probe: () => Promise.resolve({ usable: true, rank: 0 }),
    close: () => Promise.resolve(),
    validate(network: NetworkSpec) {
      const [option] = Object.keys(network.options)
      if (option !== undefined) throw invalid(`the ${name} driver has no option "${option}"`)
      if (network.subnets.length > 0) throw invalid(`the ${name} driver takes no subnet`)
    },
    createNetwork: () => Promise.resolve(state),
    deleteNetwork: () => Promise.resolve(),
    createEndpoint: () => Promise.resolve({ state }),
    deleteEndpoint: () => Promise.resolve(),
    recover: () => Promise.resolve({ networks: [], endpoints: [], failures: [], removed: [] }),
    hostSide: () => undefined,
  }
  return { manifest, create: () => driver }
}
