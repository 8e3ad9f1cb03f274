import type { NetworkSpec } from '../../../shared/drivers/index.ts'
import { readConfig } from './config.ts'

/** The interface that a network's endpoints are made on. */
export type ParentPlan =
  | { readonly kind: 'given'; readonly name: string }
  /** Made by the driver: a VLAN of a given interface, unless it is there. */
  | { readonly kind: 'vlan'; readonly name: string; readonly of: string; readonly id: number }
  /** Made by the driver: leads nowhere. */
  | { readonly kind: 'dummy'; readonly name: string }

export function planParent(network: NetworkSpec): ParentPlan {
  const { parent } = readConfig(network)
  if (parent === '') return { kind: 'dummy', name: `dm-${network.id.slice(0, 12)}` }
  const [, of, id] = /^(.+)\.(\d+)$/.exec(parent) ?? []
  if (of === undefined || Number(id) < 1 || Number(id) > 4094) return { kind: 'given', name: parent }
  return { kind: 'vlan', name: parent, of, id: Number(id) }
}
