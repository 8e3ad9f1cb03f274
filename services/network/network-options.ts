import { invalid } from '../../shared/errors/index.ts'

type Options = Readonly<Record<string, string>>

/** Options of a network that the service itself reads, by their Docker names. */
const P = 'com.docker.network.'

/** The device that the network uses, which may have its addresses already. */
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

/**
 * The options that are the driver's to honour or to refuse. A name in a domain of somebody else's (`com.example.owner`) is a note of
 * theirs, kept and shown like a label.
 */
export const driverOptions = (options: Options): Options =>
  Object.fromEntries(
    Object.entries(options).filter(
      ([name]) => (name.startsWith(P) || !name.includes('.')) && name !== ENABLE_IPV4 && name !== ENABLE_IPV6,
    ),
  )
