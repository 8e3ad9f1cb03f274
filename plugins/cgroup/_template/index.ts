import type { CgroupDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { TemplateDriver } from './driver.ts'

const module: CgroupDriverModule = { manifest, create: (context) => new TemplateDriver(context) }
export default module
