import Type from 'typebox'
import { FileLogDriver } from '../../../shared/conmon/log/file-driver.ts'
import { parseFileOptions } from '../../../shared/conmon/log/options.ts'
import type { DriverManifest, LogDriverModule } from '../../../shared/drivers/index.ts'

const manifest: DriverManifest = {
  kind: 'log',
  name: 'local',
  version: '1.0.0',
  contract: 1,
  capabilities: { read: true, rotate: true },
  options: Type.Record(Type.String(), Type.String()),
}

/** Bounded from the start: five files of 20 MB, the older ones compressed. */
const parse = (options: Readonly<Record<string, string>>): ReturnType<typeof parseFileOptions> =>
  parseFileOptions('local', options, { maxSize: 20 << 20, maxFiles: 5, compress: true })

const module: LogDriverModule = {
  manifest,
  create: (context) => new FileLogDriver(manifest, context, { rank: 50, parse }),
}
export default module
