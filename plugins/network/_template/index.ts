import type { NetworkDriverModule } from '../../../shared/drivers/index.ts'
import { TemplateDriver } from './driver.ts'
import { manifest } from './manifest.ts'

export default { manifest, create: (context) => new TemplateDriver(context) } satisfies NetworkDriverModule
