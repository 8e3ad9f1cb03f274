import Type from 'typebox'
import { forbidden, invalid } from '../../../shared/errors/index.ts'
import { isIP } from 'node:net'
import type { GatewayMode, NetworkSpec } from '../../../shared/drivers/index.ts'

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
  readonly gatewayMode: { readonly ipv4: GatewayMode; readonly ipv6: GatewayMode }
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

const GATEWAY_MODES: readonly string[] = ['nat', 'nat-unprotected', 'routed', 'isolated'] satisfies GatewayMode[]
const isGatewayMode = (text: string): text is GatewayMode => GATEWAY_MODES.includes(text)

function gatewayMode(options: NetworkSpec['options'], name: string): GatewayMode {
  const value = options[name] || 'nat'
  if (isGatewayMode(value)) return value
  throw invalid(`invalid value "${value}" for option ${name}: one of ${GATEWAY_MODES.join(', ')}`)
}

/** Throws as `readConfig` does, and for what a network of this kind cannot have. */
export function checkNetwork({ options, subnets, internal }: NetworkSpec): void {
  const { gatewayMode } = readConfig(options)
  const v6 = subnets.filter(({ cidr }) => cidr.includes(':')).length
  if (v6 > 1 || subnets.length - v6 > 1) throw forbidden("bridge driver doesn't support multiple subnets")
  if (!internal && Object.values(gatewayMode).includes('isolated')) {
    throw invalid("gateway mode 'isolated' can only be used for an internal network: say --internal too")
  }
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
  if (hostBinding !== '' && isIP(hostBinding) === 0) {
    throw invalid(`invalid value "${hostBinding}" for option ${OPTION.hostBinding}: an IP address`)
  }
  return {
    name,
    icc: bool(options, OPTION.icc, true),
    masquerade: bool(options, OPTION.masquerade, true),
    hostBinding,
    gatewayMode: { ipv4: gatewayMode(options, OPTION.gatewayMode4), ipv6: gatewayMode(options, OPTION.gatewayMode6) },
    isDefault: bool(options, OPTION.defaultBridge, false),
    inhibitIpv4: bool(options, OPTION.inhibitIpv4, false),
    mtu: mtu === '' ? undefined : Number(mtu),
  }
}
