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

/** A network in a mark. */
export const userOf = ({ id }: Pick<NetworkSpec, 'id'>): string => id.slice(0, 8)

/** The mark (the alias) of a parent that an engine's driver made: it tells it from one that the user made. */
export const writeMark = (engine: string, users: readonly string[]): string => `${engine}:${users.join(',')}`

/** The networks that a parent was made for; undefined when this engine did not make it. */
export function readMark(engine: string, alias: string): string[] | undefined {
  const [owner, users] = alias.split(':')
  if (owner !== engine || users === undefined) return undefined
  return users.split(',').map((id) => userOf({ id }))
}
