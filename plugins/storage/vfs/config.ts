import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

export const manifest: DriverManifest = {
  kind: 'storage',
  name: 'vfs',
  version: '1.0.0',
  contract: 1,
  capabilities: { sharing: false, diffFormat: 'full', quota: false, maxDepth: 0 },
  options: Type.Object({}, { additionalProperties: false }),
}
