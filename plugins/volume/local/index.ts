import type { VolumeDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { LocalVolumeDriver } from './driver.ts'

export default { manifest, create: (context) => new LocalVolumeDriver(context) } satisfies VolumeDriverModule
