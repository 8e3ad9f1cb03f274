import type { CgroupDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { SystemdDriver } from './driver.ts'

const module: CgroupDriverModule = { manifest, create: (context) => new SystemdDriver(context) }
export default module
