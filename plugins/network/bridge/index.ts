import type { NetworkDriverModule } from '../../../shared/drivers/index.ts'
import { BridgeDriver } from './driver.ts'
import { manifest } from './manifest.ts'

export default { manifest, create: (context) => new BridgeDriver(context) } satisfies NetworkDriverModule
