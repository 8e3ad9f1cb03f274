import Type from 'typebox'
import type { DriverManifest, LogDriver, LogDriverModule } from '../../../shared/drivers/index.ts'
import { invalid, notImplemented } from '../../../shared/errors/index.ts'

const manifest: DriverManifest = {
  kind: 'log',
  name: 'none',
  version: '1.0.0',
  contract: 1,
  capabilities: { read: false, rotate: false },
  options: Type.Object({}, { additionalProperties: false }),
}

/** Keeps no log. */
const driver: LogDriver = {
  manifest,
  probe: async () => ({ usable: true, rank: 0 }),
  validate(options) {
    const [name] = Object.keys(options)
    if (name !== undefined) throw invalid(`unknown log opt '${name}' for none log driver (it has none)`)
  },
  bounded: () => false,
  open: () => ({ path: '', shimArgs: ['-l', 'none'] }),
  read() {
    throw notImplemented('configured logging driver does not support reading')
  },
  maintain: async () => undefined,
  remove: async () => undefined,
  list: async () => [],
  close: async () => undefined,
}

const module: LogDriverModule = { manifest, create: () => driver }
export default module
