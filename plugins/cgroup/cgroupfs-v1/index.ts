import type { CgroupDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { CgroupfsV1 } from './driver.ts'

const module: CgroupDriverModule = { manifest, create: (context) => new CgroupfsV1(context) }
export default module
