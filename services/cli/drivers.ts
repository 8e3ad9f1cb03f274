import { loadConfig } from '../../shared/config/index.ts'
import { CliError } from './fail.ts'
import { askHealth } from './health.ts'
import { table } from './table.ts'

/** `gantry drivers`: what every service has loaded. */
export async function drivers(options: { json?: boolean }): Promise<void> {
  const health = await askHealth(loadConfig())
  if (health.size === 0) throw new CliError('no service answers: is the engine running? (gantry up)')
  const all = [...health.values()].flatMap((service) => service.drivers)
  if (options.json === true) {
    process.stdout.write(JSON.stringify(all, null, 2) + '\n')
    return
  }
  const rows = all.map((driver) => [
    driver.kind,
    driver.name + (driver.default ? ' (default)' : ''),
    driver.version,
    driver.usable ? 'usable' : `cannot run here: ${driver.reason ?? 'no reason given'}`,
  ])
  process.stdout.write(table([['KIND', 'DRIVER', 'VERSION', 'STATE'], ...rows]))
}
