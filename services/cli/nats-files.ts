import { existsSync } from 'node:fs'
import { loadConfig } from '../../shared/config/index.ts'
import { enginePaths, freePort, writeNatsFiles } from '../supervisor/index.ts'

/**
 * `gantry nats-files`: what `gantry up` does before it starts nats-server, for a nats-server that systemd runs. What is
 * there is kept, so that a restarted server is the one that the services know.
 */
export async function natsFiles(): Promise<void> {
  const config = loadConfig()
  const { natsConfig } = enginePaths(config)
  if (!existsSync(natsConfig)) writeNatsFiles(config, await freePort())
  process.stdout.write(`${natsConfig}\n`)
}
