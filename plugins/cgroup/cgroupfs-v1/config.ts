import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

/** The driver as shipped; capabilities are those of this kernel once it has been probed. */
export const manifest: DriverManifest = {
  kind: 'cgroup',
  name: 'cgroupfs-v1',
  version: '1.0.0',
  contract: 1,
  capabilities: { version: 1, systemd: false },
  options: Type.Object({}, { additionalProperties: false }),
}
