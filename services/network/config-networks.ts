import { forbidden, isKind, notFound } from '../../shared/errors/index.ts'
import { parseWishes, type PoolWish } from './ipam/index.ts'
import type { NetworkWish } from './network-request.ts'
import type { NetworkRecord } from './records.ts'

/** Networks that are nothing but settings for others (`--config-only`), and those that have theirs (`--config-from`). */

/** One of the first kind. The driver is that of the network that is made from it: the docker CLI names one in any case. Throws `invalid` for settings that no network could have. */
export function configNetwork(id: string, { pools, configOnly: _, ...wish }: NetworkWish): NetworkRecord {
  parseWishes(pools)
  return {
    ...wish,
    id,
    driver: 'null',
    pools: [],
    template: pools,
    state: undefined,
    phase: 'ready',
    predefined: false,
    created: new Date().toISOString(),
  }
}

/** A wish with the settings of the network that it names, if it does; its own labels go before. */
export function withConfigFrom(wish: NetworkWish, resolve: (ref: string) => NetworkRecord): NetworkWish {
  if (wish.configFrom === undefined) return wish
  const { name, template, ipv4, ipv6, options, labels, ipamOptions } = found(wish.configFrom, resolve)
  if (!template) throw forbidden(`network "${wish.configFrom}" is not a configuration network`)
  const settings = { ipv4, ipv6, options, ipamOptions, labels: { ...labels, ...wish.labels }, pools: template }
  return { ...wish, ...settings, configFrom: name }
}

function found(ref: string, resolve: (ref: string) => NetworkRecord): NetworkRecord {
  try {
    return resolve(ref)
  } catch (error) {
    if (isKind(error, 'not-found')) throw notFound(`configuration network "${ref}" does not exist`)
    throw error
  }
}

/** Throws `forbidden` when a network has its settings from this one. */
export function refuseInherited({ name, template }: NetworkRecord, networks: readonly NetworkRecord[]): void {
  const heir = template && networks.find((n) => n.configFrom === name && n.phase !== 'gone')
  if (heir) throw forbidden(`configuration network "${name}" is in use by network ${heir.name}`)
}

/** The subnets of a network, in Docker's form: of one that is only settings, as they were asked for. */
export const ipamConfig = ({ pools, template }: NetworkRecord): object[] =>
  (template ?? pools.map(({ cidr, ...pool }): PoolWish => ({ ...pool, subnet: cidr }))).flatMap(
    ({ subnet, ipRange, gateway, aux }) =>
      subnet === undefined
        ? []
        : {
            Subnet: subnet,
            ...(ipRange === undefined ? {} : { IPRange: ipRange }),
            ...(gateway ? { Gateway: gateway } : {}),
            ...(Object.keys(aux ?? {}).length > 0 ? { AuxiliaryAddresses: aux } : {}),
          },
  )
