import type { ExecDriverModule } from '../../../shared/drivers/index.ts'
import { OciRuntimeDriver } from '../../../shared/oci/runtime-driver.ts'
import { manifest } from './config.ts'
import { withoutV2 } from './hybrid.ts'
import { message } from './message.ts'
import { release } from './release.ts'

/** crun under conmon: written in C, and the faster one of the two. */
const module: ExecDriverModule = {
  manifest,
  create: (context) =>
    new OciRuntimeDriver(
      manifest,
      { name: 'crun', install: 'apt-get install crun', rank: 60, message, otherWay: withoutV2, release },
      context,
    ),
}
export default module
