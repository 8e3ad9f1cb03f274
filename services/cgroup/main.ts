import { type CgroupContract, cgroupContract } from '../../shared/contracts/index.ts'
import { type CgroupDriver, type CgroupDriverContext, DriverSet } from '../../shared/drivers/index.ts'
import type { ServiceModule } from '../../shared/service/module.ts'
import { GroupKeeper } from './groups.ts'
import { handlers } from './handlers.ts'
import { Metrics } from './metrics.ts'
import { OomWatch } from './oom.ts'
import { Groups, migrations } from './store.ts'

/** The cgroup service: resource limits, statistics, freezing, OOM facts. */
export const service: ServiceModule<CgroupContract> = {
  contract: cgroupContract,
  migrations,
  async start(context) {
    const { config, log, bus, store } = context
    const contextFor = (name: string): CgroupDriverContext => ({
      ...context.driverContext('cgroup', name),
      root: '/sys/fs/cgroup',
      parent: config.cgroupParent,
    })
    const drivers = await DriverSet.load<CgroupDriver, CgroupDriverContext>(
      'cgroup',
      contextFor,
      config.defaultDrivers?.['cgroup'],
    )
    const groups = new Groups(store)
    const oom = new OomWatch(groups, bus, log)
    const metrics = new Metrics(drivers, bus, oom, log)
    const keeper = new GroupKeeper(groups, drivers, oom, metrics, log)
    await keeper.recover()
    return {
      handlers: handlers(keeper, drivers, metrics),
      warnings: () => {
        if (drivers.defaultName !== undefined) return []
        return drivers.list().map((d) => `cgroup driver ${d.name} cannot run here: ${d.reason}`)
      },
      drivers: () => drivers.list(),
      stop: async () => {
        metrics.stop()
        oom.stop()
        await drivers.close()
      },
    }
  },
}
