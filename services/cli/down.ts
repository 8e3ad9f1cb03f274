import { loadConfig } from '../../shared/config/index.ts'
import { stopSupervisor } from '../supervisor/index.ts'

/** `gantry down`: ends the engine's processes. Containers keep running, and the next `up` takes them over. */
export async function down(): Promise<void> {
  const stopped = await stopSupervisor(loadConfig())
  process.stdout.write(stopped ? 'stopped; containers keep running\n' : 'was not running\n')
}
