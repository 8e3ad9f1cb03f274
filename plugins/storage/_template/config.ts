import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

/** What the driver says of itself: see shared/drivers/storage.ts for the capabilities. */
export const manifest: DriverManifest = {
  kind: 'storage',
  name: 'template',
  version: '1.0.0',
  contract: 1,
  capabilities: { sharing: false, diffFormat: 'full', quota: false, maxDepth: 0 },
  options: Type.Object({}, { additionalProperties: false }),
}
