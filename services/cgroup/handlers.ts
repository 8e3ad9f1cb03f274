import type { CgroupContract, GroupStats, Handlers } from '../../shared/contracts/index.ts'
import type { CgroupDriver, DriverSet } from '../../shared/drivers/index.ts'
import type { GroupKeeper } from './groups.ts'
import { describeInfo } from './info.ts'
import type { Metrics } from './metrics.ts'

/** A parent is checked before its container has an id. */
const ANY_ID = '0'.repeat(64)

/** Each verb: find the group and its driver, call it. */
export function handlers(
  keeper: GroupKeeper,
  drivers: DriverSet<CgroupDriver>,
  metrics: Metrics,
): Omit<Handlers<CgroupContract>, 'health'> {
  return {
    'group.check': async ({ resources, parent }) => {
      const driver = drivers.default()
      driver.pathFor(ANY_ID, parent ?? '')
      return { warnings: [...driver.check(resources, false)] }
    },
    'group.create': async ({ id, parent, resources, instance }) => {
      const { group, driver } = await keeper.create(id, parent, resources, instance)
      const oci = driver.runtimeResources(resources)
      return {
        cgroupsPath: driver.runtimePath(group.path),
        driver: group.driver,
        systemd: driver.manifest.capabilities['systemd'] === true,
        ...(oci === undefined ? {} : { resources: oci }),
      }
    },
    'group.delete': async ({ id }) => ({ oomKilled: await keeper.delete(id) }),
    'group.update': async ({ id, resources, change }) => {
      await keeper.update(id, resources, change)
      return {}
    },
    'group.revert': async ({ id, change }) => {
      await keeper.revert(id, change)
      return {}
    },
    'group.stats': async ({ ids }) => Object.fromEntries<GroupStats>(await metrics.sample(ids)),
    'group.freeze': async ({ id }) => {
      const { group, driver } = keeper.find(id)
      await driver.freeze(group.path)
      return {}
    },
    'group.thaw': async ({ id }) => {
      const { group, driver } = keeper.find(id)
      await driver.thaw(group.path)
      return {}
    },
    'group.kill': async ({ id }) => {
      const { group, driver } = keeper.find(id)
      await driver.kill(group.path)
      return {}
    },
    'group.pids': async ({ id }) => {
      const { group, driver } = keeper.find(id)
      return { pids: [...(await driver.pids(group.path))] }
    },
    'group.oom': async ({ id }) => ({ oomKilled: await keeper.oomKilled(id) }),
    'group.reconcile': async ({ keep }) => ({ removed: await keeper.reconcile(new Set(keep)) }),
    info: async () => describeInfo(drivers.defaultName === undefined ? undefined : drivers.default()),
  }
}
