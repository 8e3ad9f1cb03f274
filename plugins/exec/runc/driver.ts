import type { ExecDriverModule } from '../../../shared/drivers/index.ts'
import { logrusMessage } from '../../../shared/oci/errors.ts'
import { OciRuntimeDriver } from '../../../shared/oci/runtime-driver.ts'
import { manifest } from './config.ts'
import { release } from './release.ts'

/** runc under conmon: the reference, runs on every host that has cgroups of either version. */
const module: ExecDriverModule = {
  manifest,
  create: (context) =>
    new OciRuntimeDriver(
      manifest,
      { name: 'runc', install: 'apt-get install runc', rank: 50, message: logrusMessage, release },
      context,
    ),
}
export default module
