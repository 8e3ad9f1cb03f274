import type { DriverManifest } from '../../../shared/drivers/index.ts'
import { BridgeOptions } from './config.ts'

export const manifest = {
  kind: 'network',
  name: 'bridge',
  version: '1.0.0',
  contract: 1,
  capabilities: { connectivity: 'bridge', dns: true, portMapping: true, ipam: true, singleton: false, ipv6: true },
  options: BridgeOptions,
} as const satisfies DriverManifest
