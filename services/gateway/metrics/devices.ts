import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/** `/dev/sda` of a device number, as sysfs names it; `8:0` for one that is not there (any more). */
export function devicePath(major: number, minor: number): string {
  try {
    return `/dev/${basename(readlinkSync(`/sys/dev/block/${major}:${minor}`))}`
  } catch {
    return `${major}:${minor}`
  }
}
