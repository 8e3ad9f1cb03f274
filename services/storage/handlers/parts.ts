import type { DriverSet, StorageDriver, VolumeDriver } from '../../../shared/drivers/index.ts'
import type { Logger } from '../../../shared/log/index.ts'
import type { Store } from '../../../shared/store/index.ts'
import type { StreamServer } from '../../../shared/streams/index.ts'
import type { ImageRemover } from '../images/remove.ts'
import type { ImageStore } from '../images/store.ts'
import type { LayerStore } from '../layers/store.ts'
import type { RootfsStore } from '../rootfs/store.ts'
import type { VolumeStore } from '../volumes/store.ts'

/** What the handlers work with. */
export interface Parts {
  readonly store: Store
  readonly streams: StreamServer
  readonly log: Logger
  /** For what is being received; emptied at start. */
  readonly tmpDir: string
  readonly drivers: DriverSet<StorageDriver>
  readonly volumeDrivers: DriverSet<VolumeDriver>
  readonly layers: LayerStore
  readonly images: ImageStore
  readonly remover: ImageRemover
  readonly volumes: VolumeStore
  readonly rootfs: RootfsStore
}
