import type { StorageDriverModule } from '../../../shared/drivers/index.ts'
import { manifest } from './config.ts'
import { TemplateDriver } from './driver.ts'

export default { manifest, create: (context) => new TemplateDriver(context) } satisfies StorageDriverModule
