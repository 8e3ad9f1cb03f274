import type { DriverSet, VolumeDriver } from '../../../shared/drivers/index.ts'
import type { Logger } from '../../../shared/log/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import { stateOf, type VolumeRow } from './rows.ts'
import type { VolumeStore } from './store.ts'

export interface VolumeParts {
  readonly store: Store
  readonly volumes: VolumeStore
  readonly volumeDrivers: DriverSet<VolumeDriver>
  readonly log: Logger
}

interface User {
  readonly volume: string
  readonly container: string
}

/** At start: finishes or undoes what was half done, and tells each driver who uses its volumes. */
export async function recoverVolumes(
  parts: VolumeParts,
  mounted: (container: string) => Promise<boolean>,
): Promise<void> {
  const { store, volumes, volumeDrivers, log } = parts
  for (const row of store.all<VolumeRow>("SELECT * FROM volumes WHERE status <> 'ready'")) {
    await volumes
      .abandon(row.name)
      .catch((error: unknown) => log.warn({ err: error, volume: row.name }, 'half a volume stays until the next start'))
  }
  const live = await liveUsers(store, mounted)
  for (const driver of volumeDrivers.usable()) {
    const { name } = driver.manifest
    const rows = store.all<VolumeRow>('SELECT * FROM volumes WHERE driver = ?', name)
    const { unknown } = await driver.recover(
      rows.map((row) => ({
        name: row.name,
        state: stateOf(row),
        users: live.filter((user) => user.volume === row.name).map((user) => user.container),
      })),
    )
    if (unknown.length > 0) log.warn({ driver: name, unknown }, 'volumes that no record names are left alone')
  }
}

/** Those whose container's root file system is still mounted; the others have gone with a reboot. */
async function liveUsers(store: Store, mounted: (container: string) => Promise<boolean>): Promise<User[]> {
  const live: User[] = []
  for (const user of store.all<User>('SELECT volume, container FROM volume_users WHERE mounted = 1')) {
    if (await mounted(user.container)) live.push(user)
    else {
      const sql = 'UPDATE volume_users SET mounted = 0 WHERE volume = ? AND container = ?'
      store.run(sql, user.volume, user.container)
    }
  }
  return live
}
