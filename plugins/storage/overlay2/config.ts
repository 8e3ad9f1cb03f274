import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

export const manifest: DriverManifest = {
  kind: 'storage',
  name: 'overlay2',
  version: '1.0.0',
  contract: 1,
  capabilities: { sharing: true, diffFormat: 'overlay', quota: false, maxDepth: 140 },
  options: Type.Object({}, { additionalProperties: false }),
}
