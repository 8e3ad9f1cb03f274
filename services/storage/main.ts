import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { storageContract, type StorageContract } from '../../shared/contracts/index.ts'
import { DriverSet, type DriverContext, type StorageDriver, type VolumeDriver } from '../../shared/drivers/index.ts'
import type { RunningService, ServiceContext, ServiceModule } from '../../shared/service/module.ts'
import { imageHandlers } from './handlers/images.ts'
import type { Parts } from './handlers/parts.ts'
import { rootfsHandlers } from './handlers/rootfs.ts'
import { volumeHandlers } from './handlers/volumes.ts'
import { missingTools } from './unpack/tools.ts'
import { ImageRemover } from './images/remove.ts'
import { ImageStore } from './images/store.ts'
import { LayerStore } from './layers/store.ts'
import { recover } from './recover.ts'
import { RootfsStore } from './rootfs/store.ts'
import { migrations } from './schema.ts'
import { VolumeStore } from './volumes/store.ts'

/** Puts the service's parts together. */
async function assemble(context: ServiceContext): Promise<Parts> {
  const { store, streams, log, config, stateDir } = context
  const preferred = config.defaultDrivers ?? {}
  const drivers = await DriverSet.load<StorageDriver, DriverContext>(
    'storage',
    (name) => context.driverContext('storage', name),
    preferred['storage'],
  )
  const volumeDrivers = await DriverSet.load<VolumeDriver, DriverContext>(
    'volume',
    (name) => context.driverContext('volume', name),
    preferred['volume'],
  )
  const tmpDir = join(stateDir, 'tmp')
  mkdirSync(tmpDir, { recursive: true, mode: 0o700 })
  const layers = new LayerStore(store, drivers, stateDir, log)
  const images = new ImageStore(store)
  const remover = new ImageRemover(images, layers, drivers)
  const volumes = new VolumeStore(store, volumeDrivers)
  const rootfs = new RootfsStore({ store, drivers, images, layers, volumes })
  return { store, streams, log, tmpDir, drivers, volumeDrivers, layers, images, remover, volumes, rootfs }
}

async function start(context: ServiceContext): Promise<RunningService<StorageContract>> {
  const parts = await assemble(context)
  const damage = await recover(parts)
  const { drivers, volumeDrivers, images } = parts
  return {
    handlers: {
      ...imageHandlers(parts),
      ...rootfsHandlers(parts),
      ...volumeHandlers(parts),
      info: async () => ({
        images: images.count(),
        driver: drivers.default().manifest.name,
        driverStatus: (await drivers.default().status()).map((pair) => [...pair]),
        root: context.stateDir,
      }),
    },
    warnings: () => [
      ...(drivers.defaultName === undefined ? ["no storage driver can run here: see the drivers' reasons"] : []),
      ...damage,
      ...missingTools(),
    ],
    drivers: () => [...drivers.list(), ...volumeDrivers.list()],
    stop: async () => {
      await drivers.close()
      await volumeDrivers.close()
    },
  }
}

export const service: ServiceModule<StorageContract> = {
  contract: storageContract,
  migrations,
  offersStreams: true,
  start,
}
