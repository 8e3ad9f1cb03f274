import type { StorageDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { Overlay2Driver } from './driver.ts'

export default { manifest, create: (context) => new Overlay2Driver(context) } satisfies StorageDriverModule
