import Type from 'typebox'
import type { DriverManifest } from '../../../shared/drivers/index.ts'

/** As mount(8) has them: `type=nfs`, `o=addr=10.0.0.1,rw`, `device=:/export`. */
export const Options = Type.Object(
  {
    type: Type.Optional(Type.String()),
    o: Type.Optional(Type.String()),
    device: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

export const manifest: DriverManifest = {
  kind: 'volume',
  name: 'local',
  version: '1.0.0',
  contract: 1,
  capabilities: { scope: 'local', copyUp: true },
  options: Options,
}
