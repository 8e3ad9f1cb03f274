import { statfsSync } from 'node:fs'

/** Names of file systems by their magic number (statfs(2)), spelled as Docker does. */
const NAMES: Readonly<Record<number, string>> = {
  0x9123683e: 'btrfs',
  0xef53: 'extfs',
  0x58465342: 'xfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlayfs',
  0x2fc12fc1: 'zfs',
  0x6969: 'nfs',
  0xf2f52010: 'f2fs',
}

/** The kind of file system that `path` lies on. */
export const fileSystemOf = (path: string): string => NAMES[statfsSync(path).type >>> 0] ?? '<unknown>'
