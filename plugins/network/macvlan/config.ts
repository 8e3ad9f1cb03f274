import Type from 'typebox'
import type { NetworkSpec } from '../../../shared/drivers/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { MACVLAN_MODES, type MacvlanMode } from '../../../shared/kernel/rtnetlink.ts'

/** Options of a macvlan network, by their Docker names. */
export const OPTION = { parent: 'parent', mode: 'macvlan_mode', mtu: 'com.docker.network.driver.mtu' } as const

const text = Type.Optional(Type.String())

export const MacvlanOptions = Type.Object(
  { [OPTION.parent]: text, [OPTION.mode]: text, [OPTION.mtu]: text },
  { additionalProperties: false },
)

export interface MacvlanConfig {
  /** Interface of the host, `eth0`, or `eth0.50` for its VLAN 50; empty for none: the network leads nowhere. */
  readonly parent: string
  readonly mode: MacvlanMode
  readonly mtu: number | undefined
}

const isMode = (mode: string): mode is MacvlanMode => mode in MACVLAN_MODES

/** Throws `invalid` naming the option and the valid form. */
export function readConfig({ options, internal }: Pick<NetworkSpec, 'options' | 'internal'>): MacvlanConfig {
  const known: readonly string[] = Object.values(OPTION)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw invalid(`the macvlan driver has no option "${name}" (there are: ${known.join(', ')})`)
    }
  }
  const parent = options[OPTION.parent] ?? ''
  if (parent !== '' && (!/^[^\s/:]{1,15}$/.test(parent) || parent === 'lo')) {
    throw invalid(
      `invalid value "${parent}" for option ${OPTION.parent}: an interface of the host, such as eth0 or eth0.50`,
    )
  }
  if (internal && parent !== '') {
    throw invalid(`option ${OPTION.parent}=${parent} cannot be: an internal network has no parent interface`)
  }
  const mode = options[OPTION.mode] || 'bridge'
  if (!isMode(mode)) {
    throw invalid(`invalid value "${mode}" for option ${OPTION.mode}: ${Object.keys(MACVLAN_MODES).join(', ')}`)
  }
  const mtu = options[OPTION.mtu] ?? ''
  if (mtu !== '' && !(/^\d+$/.test(mtu) && Number(mtu) >= 68 && Number(mtu) <= 65535)) {
    throw invalid(`invalid value "${mtu}" for option ${OPTION.mtu}: a number from 68 to 65535`)
  }
  return { parent, mode, mtu: mtu === '' ? undefined : Number(mtu) }
}
