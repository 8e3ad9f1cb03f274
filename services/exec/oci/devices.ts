import { lstatSync, readdirSync, realpathSync, statSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { RunRequest } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { isCode } from '../../../shared/kernel/libc.ts'

/** linux.devices[] */
export interface OciDevice {
  readonly type: 'c' | 'b' | 'p'
  readonly path: string
  readonly major: number
  readonly minor: number
  readonly fileMode: number
  readonly uid: number
  readonly gid: number
}

/** linux.resources.devices[] */
export interface DeviceRule {
  readonly allow: boolean
  readonly type?: string
  readonly major?: number
  readonly minor?: number
  readonly access: string
}

export interface DevicePlan {
  readonly devices: readonly OciDevice[]
  readonly rules: readonly DeviceRule[]
}

type Requested = RunRequest['devices'][number]

/** Parts of /dev that belong to the host alone or that every container has of its own (moby's devices.HostDevices). */
const NOT_SHARED = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console', 'ptmx'])

/** Looks up the devices of a request on this host. Privileged containers get all there are. */
export function lookUpDevices(request: RunRequest): DevicePlan {
  const rules: DeviceRule[] = request.deviceCgroupRules.map(parseDeviceRule)
  const devices: OciDevice[] = []
  for (const wanted of request.devices) {
    for (const device of hostDevices(wanted)) {
      devices.push(device)
      rules.push({
        allow: true,
        type: device.type,
        major: device.major,
        minor: device.minor,
        access: wanted.permissions === '' ? 'rwm' : wanted.permissions,
      })
    }
  }
  if (!request.process.privileged) return { devices, rules: [{ allow: false, access: 'rwm' }, ...rules] }
  const named = new Set(devices.map((d) => d.path))
  const others = below('/dev', '/dev').filter((d) => !named.has(d.path))
  return { devices: [...devices, ...others], rules: [{ allow: true, access: 'rwm' }] }
}

/** `c 42:* rmw`: type, major:minor (`*` for any), access. */
export function parseDeviceRule(rule: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(rule)
  if (!match) throw invalid(`invalid device cgroup rule format: '${rule}' (it must be like "c 42:* rmw")`)
  const [, type = 'a', major = '*', minor = '*', access = ''] = match
  return {
    allow: true,
    type,
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
    access,
  }
}

function hostDevices(wanted: Requested): OciDevice[] {
  const { pathOnHost, pathInContainer, permissions } = wanted
  if (!/^[rwm]{0,3}$/.test(permissions)) throw invalid(`invalid device mode: ${permissions}`)
  const target = pathInContainer === '' ? pathOnHost : pathInContainer
  let stat: Stats
  let path: string
  try {
    path = realpathSync(pathOnHost)
    stat = statSync(path)
  } catch (error) {
    if (!isCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) throw error
    throw invalid(
      `error gathering device information while adding custom device "${pathOnHost}": no such file or directory`,
    )
  }
  const device = toDevice(target, stat)
  if (device) return [device]
  if (stat.isDirectory()) {
    const found = below(path, target)
    if (found.length > 0) return found
  }
  throw invalid(`error gathering device information while adding custom device "${pathOnHost}": not a device node`)
}

function toDevice(path: string, stat: Stats): OciDevice | undefined {
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return undefined
  return {
    type: stat.isBlockDevice() ? 'b' : 'c',
    path,
    ...splitDev(stat.rdev),
    fileMode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
  }
}

/** glibc's gnu_dev_major and gnu_dev_minor. */
export function splitDev(rdev: number): { major: number; minor: number } {
  const dev = BigInt(rdev)
  return {
    major: Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)),
    minor: Number((dev & 0xffn) | ((dev >> 12n) & ~0xffn)),
  }
}

function below(dir: string, target: string): OciDevice[] {
  const found: OciDevice[] = []
  for (const name of readdirSync(dir)) {
    if (NOT_SHARED.has(name)) continue
    const path = join(dir, name)
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (!stat) continue
    if (stat.isDirectory()) found.push(...below(path, join(target, name)))
    else {
      const device = toDevice(join(target, name), stat)
      if (device) found.push(device)
    }
  }
  return found
}
