import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Json } from '../../shared/contracts/index.ts'
import { forbidden, invalid, notImplemented } from '../../shared/errors/index.ts'
import { lazy } from '../../shared/lazy.ts'
import type { PoolWish } from './ipam/index.ts'
import { DOCKER_PREFIX, ENABLE_IPV4, ENABLE_IPV6, flagOption } from './network-options.ts'
import type { NetworkSettings } from './records.ts'

const nullable = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))
const Map_ = Type.Record(Type.String(), Type.String())

const IpamConfig = Type.Object({
  Subnet: Type.Optional(Type.String()),
  IPRange: Type.Optional(Type.String()),
  Gateway: Type.Optional(Type.String()),
  AuxiliaryAddresses: nullable(Map_),
})

/** Docker's NetworkCreateRequest; members it does not know are ignored, as Docker does. */
export const NetworkCreateRequest = Type.Object({
  Name: Type.String(),
  CheckDuplicate: Type.Optional(Type.Boolean()),
  Driver: Type.Optional(Type.String()),
  Scope: Type.Optional(Type.String()),
  Internal: Type.Optional(Type.Boolean()),
  Attachable: Type.Optional(Type.Boolean()),
  Ingress: Type.Optional(Type.Boolean()),
  ConfigOnly: Type.Optional(Type.Boolean()),
  ConfigFrom: nullable(Type.Object({ Network: Type.Optional(Type.String()) })),
  IPAM: nullable(
    Type.Object({
      Driver: Type.Optional(Type.String()),
      Options: nullable(Map_),
      Config: nullable(Type.Array(IpamConfig)),
    }),
  ),
  EnableIPv4: nullable(Type.Boolean()),
  EnableIPv6: nullable(Type.Boolean()),
  Options: nullable(Map_),
  Labels: nullable(Map_),
})
type NetworkCreateRequest = Static<typeof NetworkCreateRequest>

const compiled = lazy(() => Compile(NetworkCreateRequest))

/** A request to make a network, checked as far as that needs no other network. */
export interface NetworkWish extends Omit<NetworkSettings, 'pools' | 'template'> {
  readonly configOnly: boolean
  readonly name: string
  /** Empty for the default driver. */
  readonly driver: string
  readonly pools: readonly PoolWish[]
}

const PREDEFINED = ['bridge', 'host', 'none', 'default']

/** Reads Docker's NetworkCreateRequest. Throws `invalid` naming the member, `forbidden` for predefined names. */
export function readNetworkRequest(spec: Json): NetworkWish {
  if (!compiled().Check(spec)) throw badMember(spec)
  const name = spec.Name.trim()
  checkName(name)
  refuseUnsupported(spec)
  const options = spec.Options ?? {}
  const ipv4 = spec.EnableIPv4 ?? flagOption(options, ENABLE_IPV4) ?? true
  const ipv6 = spec.EnableIPv6 ?? flagOption(options, ENABLE_IPV6) ?? false
  if (!ipv4 && !ipv6) throw invalid('IPv4 or IPv6 must be enabled')
  const configFrom = spec.ConfigFrom?.Network ?? ''
  return {
    name,
    driver: spec.Driver ?? '',
    internal: spec.Internal ?? false,
    attachable: spec.Attachable ?? false,
    ipv4,
    ipv6,
    options,
    labels: spec.Labels ?? {},
    ipamOptions: spec.IPAM?.Options ?? {},
    pools: poolWishes(spec, ipv4, ipv6),
    configOnly: spec.ConfigOnly ?? false,
    ...(configFrom === '' ? {} : { configFrom }),
  }
}

/** The deepest problem says most: that its parents are neither null nor valid follows from it. */
function badMember(spec: Json): Error {
  const depth = (path: string): number => path.split('/').length
  const [problem] = [...compiled().Errors(spec)].sort((a, b) => depth(b.instancePath) - depth(a.instancePath))
  const field = problem?.instancePath.slice(1).replaceAll('/', '.') || 'NetworkCreateRequest'
  return invalid(`invalid network request: ${field}: ${problem?.message ?? 'not valid'}`, { details: { field } })
}

function checkName(name: string): void {
  if (name === '') throw invalid('invalid network name: name is empty')
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_. -]*$/.test(name)) {
    throw invalid(`invalid network name "${name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
  }
  if (PREDEFINED.includes(name)) throw forbidden(`operation is not permitted on predefined ${name} network`)
}

function refuseUnsupported(spec: NetworkCreateRequest): void {
  if (spec.Ingress === true) throw notImplemented('network option Ingress is not implemented (swarm)')
  const scope = spec.Scope ?? ''
  const from = spec.ConfigFrom?.Network ?? ''
  if (spec.ConfigOnly === true && (spec.Internal || spec.Attachable || scope !== '' || from !== '')) {
    throw invalid(
      'configuration network can only contain network specific fields: internal, attachable, scope and config-from are not',
    )
  }
  const given = (map: object | null | undefined): boolean => Object.keys(map ?? {}).length > 0
  const { Config, Options } = spec.IPAM ?? {}
  if (from !== '' && (given(spec.Options) || given(Config) || given(Options) || spec.EnableIPv6)) {
    throw invalid('user supplied configurations are not supported if the network depends on a configuration network')
  }
  if (scope !== '' && scope !== 'local') throw invalid(`invalid network scope "${scope}": local is the only one here`)
  const ipam = spec.IPAM?.Driver ?? ''
  if (ipam !== '' && ipam !== 'default') {
    throw invalid(`IPAM driver "${ipam}" not found: there is only "default"`, { details: { field: 'IPAM.Driver' } })
  }
  const option = Object.keys(spec.IPAM?.Options ?? {}).find((name) => name.startsWith(DOCKER_PREFIX))
  if (option !== undefined) throw invalid(`the default IPAM driver has no option "${option}"`)
}

function poolWishes(spec: NetworkCreateRequest, ipv4: boolean, ipv6: boolean): PoolWish[] {
  const wishes = (spec.IPAM?.Config ?? [])
    .filter((c) => c.Subnet || c.Gateway || c.IPRange || Object.keys(c.AuxiliaryAddresses ?? {}).length > 0)
    .map((c) => ({
      ...(c.Subnet ? { subnet: c.Subnet } : {}),
      ...(c.IPRange ? { ipRange: c.IPRange } : {}),
      ...(c.Gateway ? { gateway: c.Gateway } : {}),
      ...(c.AuxiliaryAddresses ? { aux: c.AuxiliaryAddresses } : {}),
      v6: [c.Subnet, c.Gateway, c.IPRange].some((a) => a?.includes(':')),
    }))
  for (const wish of wishes) {
    const what = wish.subnet ?? wish.gateway ?? wish.ipRange ?? ''
    if (wish.v6 && !ipv6) throw invalid(`${what} is IPv6, and IPv6 is not enabled for this network (EnableIPv6)`)
    if (!wish.v6 && !ipv4) throw invalid(`${what} is IPv4, and IPv4 is not enabled for this network (EnableIPv4)`)
  }
  return [
    ...(ipv4 && !wishes.some((w) => !w.v6) ? [{ v6: false }] : []),
    ...wishes,
    ...(ipv6 && !wishes.some((w) => w.v6) ? [{ v6: true }] : []),
  ]
}
