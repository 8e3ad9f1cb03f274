import type { DriverManifest } from '../../../shared/drivers/index.ts'
import { MacvlanOptions } from './config.ts'

export const manifest = {
  kind: 'network',
  name: 'macvlan',
  version: '1.0.0',
  contract: 1,
  capabilities: { connectivity: 'l2', dns: true, portMapping: false, ipam: true, singleton: false, ipv6: true },
  options: MacvlanOptions,
} as const satisfies DriverManifest
