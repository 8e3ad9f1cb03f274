import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

export const manifest: DriverManifest = {
  kind: 'exec',
  name: 'template',
  version: '0.1.0',
  contract: 1,
  capabilities: { tty: true, exec: true, checkpoint: false, rootless: false, oci: '1.0.2' },
  options: Type.Object({}, { additionalProperties: false }),
}
