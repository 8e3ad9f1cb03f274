import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ExecDriverModule } from '../../../shared/drivers/index.ts'
import { logrusMessage } from '../../../shared/oci/errors.ts'
import { OciRuntimeDriver, type CreatedContainer } from '../../../shared/oci/runtime-driver.ts'
import { manifest } from './config.ts'

const run = promisify(execFile)

/** The runtime's own `start`: right for every OCI runtime. runc's and crun's drivers do without starting the program once more. */
async function release({ id, command, runtimeRoot }: CreatedContainer): Promise<void> {
  const [program, ...first] = command
  await run(program, [...first, '--root', runtimeRoot, 'start', id])
}

/** A driver for a runtime that has runc's command line. Put the program's name and how to install it here. */
const module: ExecDriverModule = {
  manifest,
  create: (context) =>
    new OciRuntimeDriver(
      manifest,
      { name: 'runc', install: 'apt-get install runc', rank: 1, message: logrusMessage, release },
      context,
    ),
}
export default module
