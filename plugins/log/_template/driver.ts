import Type from 'typebox'
import { FileLogDriver } from '../../../shared/conmon/log/file-driver.ts'
import { parseFileOptions } from '../../../shared/conmon/log/options.ts'
import type { DriverManifest, LogDriverModule } from '../../../shared/drivers/index.ts'

const manifest: DriverManifest = {
  kind: 'log',
  name: 'template',
  version: '1.0.0',
  contract: 1,
  capabilities: { read: true, rotate: true },
  options: Type.Record(Type.String(), Type.String()),
}

/** Which options there are, and the bounds they set; undefined: none. */
const parse = (options: Readonly<Record<string, string>>): ReturnType<typeof parseFileOptions> =>
  parseFileOptions('template', options, { maxSize: undefined, maxFiles: 1, compress: false })

const module: LogDriverModule = {
  manifest,
  create: (context) => new FileLogDriver(manifest, context, { rank: 1, parse }),
}
export default module
