import Type from 'typebox'
import { invalid, notImplemented } from '../../../shared/errors/index.ts'
import type { NetworkSpec } from '../../../shared/drivers/index.ts'

const P = 'com.docker.network'

/** Options of a bridge network, by their Docker names. */
export const OPTION = {
  name: `${P}.bridge.name`,
  icc: `${P}.bridge.enable_icc`,
  masquerade: `${P}.bridge.enable_ip_masquerade`,
  hostBinding: `${P}.bridge.host_binding_ipv4`,
  defaultBridge: `${P}.bridge.default_bridge`,
  inhibitIpv4: `${P}.bridge.inhibit_ipv4`,
  gatewayMode4: `${P}.bridge.gateway_mode_ipv4`,
  gatewayMode6: `${P}.bridge.gateway_mode_ipv6`,
  /** Read by the service, which names the interfaces. */
  interfacePrefix: `${P}.container_iface_prefix`,
  mtu: `${P}.driver.mtu`,
} as const

const text = Type.Optional(Type.String())

export const BridgeOptions = Type.Object(Object.fromEntries(Object.values(OPTION).map((name) => [name, text])), {
  additionalProperties: false,
})

/** The options of a network, read and checked. */
export interface BridgeConfig {
  /** Name of the device; empty for one made from the network's id. */
  readonly name: string
  readonly icc: boolean
  readonly masquerade: boolean
  readonly hostBinding: string
  readonly isDefault: boolean
  /** The bridge gets no IPv4 address. */
  readonly inhibitIpv4: boolean
  readonly mtu: number | undefined
}

function bool(options: NetworkSpec['options'], name: string, otherwise: boolean): boolean {
  const value = options[name]
  if (value === undefined || value === '') return otherwise
  if (/^(true|1|t)$/i.test(value)) return true
  if (/^(false|0|f)$/i.test(value)) return false
  throw invalid(`invalid value "${value}" for option ${name}: true or false`)
}

/** Throws `invalid` naming the option and the valid form. */
export function readConfig(options: NetworkSpec['options']): BridgeConfig {
  const known = new Set<string>(Object.values(OPTION))
  const offered = [...known].filter((name) => name !== OPTION.defaultBridge)
  for (const name of Object.keys(options)) {
    if (!known.has(name)) {
      throw invalid(`the bridge driver has no option "${name}" (there are: ${offered.join(', ')})`)
    }
  }
  const name = options[OPTION.name] ?? ''
  // dev_valid_name() in the kernel: 15 bytes, no slash, no white space, no colon.
  if (name !== '' && (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..')) {
    throw invalid(`invalid value "${name}" for option ${OPTION.name}: an interface name of at most 15 characters`)
  }
  const prefix = options[OPTION.interfacePrefix] ?? ''
  if (prefix !== '' && !/^[^\s/:]{1,12}$/.test(prefix)) {
    throw invalid(`invalid value "${prefix}" for option ${OPTION.interfacePrefix}: at most 12 characters`)
  }
  const mtu = options[OPTION.mtu] ?? ''
  if (mtu !== '' && !(/^\d+$/.test(mtu) && Number(mtu) >= 68 && Number(mtu) <= 65535)) {
    throw invalid(`invalid value "${mtu}" for option ${OPTION.mtu}: a number from 68 to 65535`)
  }
  const hostBinding = options[OPTION.hostBinding] ?? ''
  if (hostBinding !== '' && !/^\d+(\.\d+){3}$/.test(hostBinding)) {
    throw invalid(`invalid value "${hostBinding}" for option ${OPTION.hostBinding}: an IPv4 address`)
  }
  for (const mode of [OPTION.gatewayMode4, OPTION.gatewayMode6]) {
    const value = options[mode] ?? 'nat'
    if (value !== 'nat') throw notImplemented(`option ${mode}=${value} is not implemented: only "nat"`)
  }
  return {
    name,
    icc: bool(options, OPTION.icc, true),
    masquerade: bool(options, OPTION.masquerade, true),
    hostBinding,
    isDefault: bool(options, OPTION.defaultBridge, false),
    inhibitIpv4: bool(options, OPTION.inhibitIpv4, false),
    mtu: mtu === '' ? undefined : Number(mtu),
  }
}
