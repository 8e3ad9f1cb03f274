import type { Handlers, StorageContract } from '../../../shared/contracts/index.ts'
import type { Parts } from './parts.ts'

type Names = `rootfs.${string}` & keyof Handlers<StorageContract>

export function rootfsHandlers({ rootfs }: Parts): Pick<Handlers<StorageContract>, Names> {
  return {
    'rootfs.create': (request) => rootfs.create(request),
    'rootfs.mount': ({ id }) => rootfs.mount(id),
    'rootfs.unmount': async ({ id }) => {
      await rootfs.unmount(id)
      return {}
    },
    'rootfs.remove': async ({ id, volumes }) => {
      await rootfs.remove(id, volumes)
      return {}
    },
    'rootfs.size': ({ id }) => rootfs.size(id),
    'rootfs.reconcile': async ({ keep }) => ({ removed: await rootfs.reconcile(keep) }),
  }
}
