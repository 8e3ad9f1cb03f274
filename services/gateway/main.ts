import { gatewayContract, type GatewayContract } from '../../shared/contracts/index.ts'
import type { ServiceModule } from '../../shared/service/module.ts'
import { busBackend } from './backend.ts'
import { startGateway } from './gateway.ts'

/** The Docker Engine API over HTTP, translated to calls on the bus. It keeps no state of its own. */
export const service: ServiceModule<GatewayContract> = {
  contract: gatewayContract,
  migrations: [],
  async start({ bus, config, log }) {
    const gateway = await startGateway({ backend: busBackend(bus), config, log })
    return {
      handlers: {},
      warnings: () => gateway.warnings,
      drivers: () => [],
      stop: () => gateway.stop(),
    }
  },
}
