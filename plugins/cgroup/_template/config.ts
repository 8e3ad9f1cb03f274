import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

/** Change the name. Options that a user may give go into `options`; anything else is refused. */
export const manifest: DriverManifest = {
  kind: 'cgroup',
  name: 'template',
  version: '0.1.0',
  contract: 1,
  capabilities: { version: 2, systemd: false },
  options: Type.Object({}, { additionalProperties: false }),
}
