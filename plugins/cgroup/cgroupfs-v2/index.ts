import type { CgroupDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { CgroupfsV2 } from './driver.ts'

const module: CgroupDriverModule = { manifest, create: (context) => new CgroupfsV2(context) }
export default module
