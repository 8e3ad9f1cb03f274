import type { StorageDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { VfsDriver } from './driver.ts'

export default { manifest, create: (context) => new VfsDriver(context) } satisfies StorageDriverModule
