import { join } from 'node:path'
import { type DriverInfo, type NetworkContract, networkContract } from '../../shared/contracts/index.ts'
import { DriverSet, type DriverContext, type NetworkDriver } from '../../shared/drivers/index.ts'
import type { RunningService, ServiceContext, ServiceModule } from '../../shared/service/module.ts'
import { Attachments } from './attachments.ts'
import { Connections } from './connections.ts'
import { Background, type NetworkContext } from './context.ts'
import { DnsServer } from './dns/index.ts'
import { Endpoints } from './endpoints.ts'
import { Firewall } from './firewall/index.ts'
import { Ipam } from './ipam/index.ts'
import { Locks } from '../../shared/async/locks.ts'
import { Metrics } from './metrics.ts'
import { migrations } from './migrations.ts'
import { NameFiles } from './name-files.ts'
import { Names } from './names.ts'
import { Networks } from './networks.ts'
import { HeldPorts, PortAllocator } from './ports/index.ts'
import { ensurePredefined } from './predefined.ts'
import { Publishing } from './publishing.ts'
import { Records } from './records.ts'
import { Recovery } from './recovery.ts'
import { Resolver, usesDns } from './resolver.ts'
import { dnsServers, SandboxFiles } from './sandbox-files.ts'
import type { SandboxParts } from './sandbox-parts.ts'
import { Sandboxes } from './sandboxes.ts'
import { SandboxStats } from './stats.ts'

async function start(service: ServiceContext): Promise<RunningService<NetworkContract>> {
  const { config, log, store } = service
  const drivers = await DriverSet.load<NetworkDriver, DriverContext>(
    'network',
    (name) => service.driverContext('network', name),
    config.defaultDrivers?.['network'],
  )
  const records = new Records(store)
  const files = new SandboxFiles(service.runDir)
  const context: NetworkContext = {
    config,
    log,
    store,
    records,
    drivers,
    ipam: new Ipam(store, { pools: config.network?.pools }),
    ports: new PortAllocator(store, new HeldPorts(log)),
    firewall: new Firewall({
      engine: config.engine,
      log,
      forwardingFile: join(service.runDir, 'forwarding'),
      forwardNoDrop: config.network?.ipForwardNoDrop,
    }),
    background: new Background(log),
  }
  const names = new Names()
  const dns = new DnsServer({ log, names, servers: dnsServers(config.network?.dns) })
  const networks = new Networks(context)
  const parts: SandboxParts = {
    context,
    files,
    endpoints: new Endpoints(context, networks),
    publishing: new Publishing(context),
    nameFiles: new NameFiles(records, files, usesDns(context)),
    resolver: new Resolver(names, dns, usesDns(context)),
  }
  const attachments = new Attachments(parts)
  const locks = new Locks()
  const sandboxes = new Sandboxes(parts, attachments, locks)
  const connections = new Connections(parts, attachments, locks)
  const stats = new SandboxStats(records, files)
  const metrics = new Metrics(stats, service.bus, log)
  await new Recovery(parts, networks, sandboxes).run()
  const warnings = await ensurePredefined(context, networks)
  metrics.wake()

  return {
    handlers: {
      'network.create': ({ id, spec }) => networks.create(id, spec),
      'network.list': async ({ filters }) => networks.list(filters),
      'network.inspect': async ({ ref, scope }) => networks.inspect(ref, scope),
      'network.remove': async ({ ref }) => networks.remove(ref).then(() => ({})),
      'network.prune': ({ filters }) => networks.prune(filters),
      'sandbox.create': (request) => metrics.after(sandboxes.create(request)),
      'sandbox.delete': async ({ id }) => sandboxes.delete(id).then(() => ({})),
      'sandbox.inspect': async ({ id }) => sandboxes.inspect(id),
      'sandbox.rename': ({ id, name }) => sandboxes.rename(id, name),
      'sandbox.stats': async ({ ids }) => stats.read(ids),
      'sandbox.reconcile': async ({ keep }) => ({ removed: await sandboxes.reconcile(keep) }),
      'endpoint.check': async ({ endpoint }) => {
        parts.endpoints.check(endpoint)
        return {}
      },
      'endpoint.connect': ({ id, endpoint }) => metrics.after(connections.connect(id, endpoint)),
      'endpoint.disconnect': ({ id, network }) => connections.disconnect(id, network),
    },
    warnings: () => [...firewallWarnings(context.firewall), ...warnings],
    drivers: () => describeDrivers(drivers, context.firewall),
    async stop() {
      metrics.stop()
      await networks.idle()
      await locks.idle()
      await context.background.idle()
      dns.close()
      context.firewall.close()
      context.ports.close()
      stats.close()
      await drivers.close()
    },
  }
}

const firewallWarnings = ({ trouble }: Firewall): string[] =>
  trouble === undefined ? [] : [`no bridge networks and no published ports: ${trouble}`]

/** Drivers whose ports the firewall publishes are of no use without it. */
const describeDrivers = (drivers: DriverSet<NetworkDriver>, { trouble }: Firewall): DriverInfo[] =>
  drivers.list().map((driver) => {
    if (trouble === undefined || driver.capabilities['portMapping'] !== true || !driver.usable) return driver
    return { ...driver, usable: false, reason: `the firewall of this host cannot be set up: ${trouble}` }
  })

export const service: ServiceModule<NetworkContract> = { contract: networkContract, migrations, start }
