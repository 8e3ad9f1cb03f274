import {
  type DriverContext,
  type EndpointSpec,
  loadDriverModule,
  type NetworkDriver,
  type NetworkSpec,
} from '../../shared/drivers/index.ts'
import { NetlinkSocket } from '../../shared/kernel/netlink.ts'
import { createLogger } from '../../shared/log/index.ts'

/** The child of the suite's crash cases: makes a network and an endpoint, and dies before its n-th message to the kernel. */
interface Order {
  readonly folder: string
  readonly engine: string
  readonly dir: string
  readonly network: NetworkSpec
  readonly endpoint: EndpointSpec
  readonly step: number
}

const order = JSON.parse(process.argv[2] ?? '') as Order

let messages = 0
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
const { exchange } = NetlinkSocket.prototype
NetlinkSocket.prototype.exchange = function (requests) {
  messages++
  if (messages === order.step) process.kill(process.pid, 'SIGKILL')
  return exchange.call(this, requests)
}

const driverModule = await loadDriverModule<NetworkDriver, DriverContext>('network', order.folder)
const log = createLogger('crash', 'silent')
const driver = driverModule.create({ log, engine: order.engine, stateDir: order.dir, runDir: order.dir })
const state = await driver.createNetwork(order.network)
await driver.createEndpoint(order.network, state, order.endpoint)
await driver.close()
