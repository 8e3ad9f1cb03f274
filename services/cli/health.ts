import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { connectBus, readCredentials } from '../../shared/bus/index.ts'
import type { Config } from '../../shared/config/index.ts'
import {
  cgroupContract,
  engineContract,
  execContract,
  gatewayContract,
  networkContract,
  storageContract,
  type Health,
} from '../../shared/contracts/index.ts'
import { createLogger } from '../../shared/log/index.ts'
import { credentialsPath, enginePaths, readNatsUrl, type ServiceName } from '../supervisor/index.ts'

const CONTRACTS = [gatewayContract, engineContract, networkContract, storageContract, cgroupContract, execContract]
const ANSWER_MS = 2_000

/** Asks every service for its health, over the bus, as the operator; those that do not answer are left out. */
export async function askHealth(config: Config): Promise<Map<ServiceName, Health>> {
  const found = new Map<ServiceName, Health>()
  const paths = enginePaths(config)
  const url = process.env['GANTRY_NATS_URL'] ?? readNatsUrl(paths)
  const credentials = process.env['GANTRY_NATS_CREDS'] ?? credentialsPath(paths.natsDir, 'admin')
  if (url === undefined || !existsSync(credentials) || !(await answers(url))) return found
  const log = createLogger('cli', 'silent')
  const bus = await connectBus({ url, credentials: readCredentials(credentials), node: config.node, log })
  await Promise.all(
    CONTRACTS.map(async (contract) => {
      const health = await bus
        .client(contract)
        .health({}, { timeoutMs: ANSWER_MS })
        .catch(() => undefined)
      if (health !== undefined) found.set(contract.service as ServiceName, health)
    }),
  )
  await bus.close()
  return found
}

/** Whether somebody listens there: the bus client itself would wait for ever. */
function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port || 4222), timeout: ANSWER_MS })
    const settle = (there: boolean): void => {
      socket.destroy()
      resolve(there)
    }
    socket
      .once('connect', () => settle(true))
      .once('error', () => settle(false))
      .once('timeout', () => settle(false))
  })
}
