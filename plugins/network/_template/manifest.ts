import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

export const manifest = {
  kind: 'network',
  // What users write: docker network create --driver <name>. The folder has the same name.
  name: 'template',
  version: '0.1.0',
  contract: 1,
  // Promise only what the driver keeps: the conformance suite holds it to that. `ipam: true` says that endpoints get addresses.
  capabilities: { connectivity: 'none', dns: false, portMapping: false, ipam: false, singleton: false, ipv6: false },
  // One member an option: Type.Optional(Type.String()).
  options: Type.Object({}, { additionalProperties: false }),
} as const satisfies DriverManifest
