import type { Driver, DriverContext, DriverModule, DriverState } from './driver.ts'

/**
 * A volume driver keeps directories that outlive containers.
 *
 * Lifecycle: `create` -> `mount`* -> `unmount`* -> `remove`. `mount` is called for each container that starts with the volume and
 * `unmount` when it stops; the caller's id tells them apart, so that a driver that really mounts something does so for the
 * first and undoes it after the last. All verbs are idempotent. Names are checked by the service and are unique within it; the
 * service records a volume before `create` and forgets it after `remove`. `state` is what `create` returned.
 *
 * Example: the local driver makes `<stateDir>/<name>/_data`; with options `type=tmpfs,device=tmpfs` it mounts a tmpfs there while
 * anybody uses it.
 *
 * Capabilities: `scope` ('local' | 'global'), `copyUp` (boolean: the service may fill a new volume with the image's content).
 */
export interface VolumeDriver extends Driver {
  /** Refuses bad options (`invalid`, names the option and the valid form). Touches nothing. */
  validate(options: Readonly<Record<string, string>>): void
  create(name: string, options: Readonly<Record<string, string>>): Promise<DriverState>
  /** Deletes the volume's data. A missing volume is no error; `conflict` when it is mounted. */
  remove(name: string, state: DriverState | undefined): Promise<void>
  /** Where the data is (or will be, once mounted); what `docker volume inspect` shows as Mountpoint. */
  path(name: string, state: DriverState): string
  /** Makes the data available for `user` and returns the directory. */
  mount(name: string, state: DriverState, user: string): Promise<string>
  unmount(name: string, state: DriverState, user: string): Promise<void>
  /**
   * After a restart of the service: makes true again that these volumes, and no others, are there and mounted for these users;
   * removes what is half made. Data of volumes that are not listed is left alone, and named in the answer.
   */
  recover(volumes: readonly RecoveredVolume[]): Promise<{ readonly unknown: readonly string[] }>
}

export interface RecoveredVolume {
  readonly name: string
  readonly state: DriverState
  readonly users: readonly string[]
}

export type VolumeDriverModule = DriverModule<VolumeDriver, DriverContext>
