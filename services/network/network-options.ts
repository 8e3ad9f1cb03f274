import type { DriverManifest } from '../../shared/drivers/index.ts'
import { invalid } from '../../shared/errors/index.ts'

type Options = Readonly<Record<string, string>>

/** What Docker's own options begin with. Any other name is a note of the user's, kept and shown like a label. */
export const DOCKER_PREFIX = 'com.docker.network.'
const P = DOCKER_PREFIX

/** Options of a network that the service itself reads. The device that the network uses, which may have its addresses already. */
export const BRIDGE_NAME = `${P}bridge.name`
export const DEFAULT_BRIDGE = `${P}bridge.default_bridge`
/** For clients that have only options: the same as the request's members of that name, which go before. */
export const ENABLE_IPV4 = `${P}enable_ipv4`
export const ENABLE_IPV6 = `${P}enable_ipv6`

/** A flag among a network's options; undefined when it is not given. */
export function flagOption(options: Options, name: string): boolean | undefined {
  const value = options[name]
  if (value === undefined) return undefined
  if (/^(true|1|t)$/i.test(value)) return true
  if (/^(false|0|f)$/i.test(value)) return false
  throw invalid(`invalid value "${value}" for option ${name}: true or false`)
}

/** The options that are the driver's to honour or to refuse: those that it declares, and all with Docker's prefix. */
export function driverOptions(options: Options, { options: schema }: Pick<DriverManifest, 'options'>): Options {
  const declared = 'properties' in schema ? Object.keys(schema.properties as object) : []
  return Object.fromEntries(
    Object.entries(options).filter(
      ([name]) => declared.includes(name) || (name.startsWith(P) && name !== ENABLE_IPV4 && name !== ENABLE_IPV6),
    ),
  )
}
