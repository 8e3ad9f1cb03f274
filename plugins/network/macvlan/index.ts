import type { NetworkDriverModule } from '../../../shared/drivers/index.ts'
import { MacvlanDriver } from './driver.ts'
import { manifest } from './manifest.ts'

export default { manifest, create: (context) => new MacvlanDriver(context) } satisfies NetworkDriverModule
