import { isIP } from 'node:net'
import { invalid } from '../../../shared/errors/index.ts'
import { checkConflicts } from './conflicts.ts'
import { mainNetwork, parseNetworkMode } from './modes.ts'
import { checkMac, checkOptions, parseLink } from './options.ts'
import { checkBody } from './body.ts'
import { Config, type EndpointSettings, type HostConfig } from './schema.ts'

/** What a user asks for, checked as far as that goes without asking anybody. */
export interface Wish {
  readonly config: Config
  readonly hostConfig: HostConfig
  /** By what the user calls the networks, the main one first. */
  readonly endpoints: Record<string, EndpointSettings>
}

/** Docker's ContainerCreateRequest as a wish. @throws `invalid` or `not-implemented` naming the member. */
export function parseWish(body: Record<string, unknown>): Wish {
  const { HostConfig: hostConfig = {}, NetworkingConfig: networking = {}, ...rest } = checkBody('create', body)
  const known = Object.keys(Config.properties)
  const config: Config = Object.fromEntries(Object.entries(rest).filter(([name]) => known.includes(name)))
  if (Object.keys(config).length === 0) throw invalid('config cannot be empty in order to create a container')
  if (!config.Image) throw invalid('no image specified: Image must name the image to create the container from')
  checkOptions(config, hostConfig)
  const endpoints = endpointsOf(config, hostConfig, networking.EndpointsConfig ?? {})
  checkConflicts(config, hostConfig, endpoints)
  return { config, hostConfig, endpoints: withoutPlaceholders(hostConfig, endpoints) }
}

function endpointsOf(
  config: Config,
  hostConfig: HostConfig,
  given: Readonly<Record<string, EndpointSettings>>,
): Record<string, EndpointSettings> {
  const main = mainNetwork(parseNetworkMode(hostConfig.NetworkMode ?? ''))
  const endpoints: Record<string, EndpointSettings> = main === undefined ? {} : { [main]: {} }
  for (const [name, settings] of Object.entries(given)) {
    const key = name === 'default' ? 'bridge' : name
    checkEndpoint(key, settings)
    endpoints[key] = settings
  }
  // Where older clients put it.
  const mac = config.MacAddress ?? ''
  if (main !== undefined && mac !== '') {
    const own = endpoints[main]?.MacAddress ?? ''
    if (own !== '' && own !== mac) {
      throw invalid(
        'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
      )
    }
    endpoints[main] = { ...endpoints[main], MacAddress: mac }
  }
  return endpoints
}

/** Clients send an empty endpoint for `host` and `none`, which have none. */
function withoutPlaceholders(hostConfig: HostConfig, endpoints: Record<string, EndpointSettings>) {
  const mode = parseNetworkMode(hostConfig.NetworkMode ?? '').kind
  return mode === 'host' || mode === 'none' || mode === 'container' ? {} : endpoints
}

const PREDEFINED = ['bridge', 'host', 'none']

/** What one endpoint asks for, before its network is known. @throws `invalid` naming the member. */
export function checkEndpoint(network: string, settings: EndpointSettings): void {
  const { IPv4Address: v4 = '', IPv6Address: v6 = '', LinkLocalIPs: local = [] } = settings.IPAMConfig ?? {}
  if (v4 !== '' && isIP(v4) !== 4) throw invalid(`invalid IPv4 address: ${v4}`)
  if (v6 !== '' && isIP(v6) !== 6) throw invalid(`invalid IPv6 address: ${v6}`)
  if (local.length > 0) throw invalid(`network ${network}: IPAMConfig.LinkLocalIPs is not supported: leave it out`)
  checkMac(settings.MacAddress ?? '')
  for (const link of settings.Links ?? []) parseLink(link)
  if (!PREDEFINED.includes(network)) return
  if (v4 !== '' || v6 !== '') throw invalid('user specified IP address is supported on user defined networks only')
  if ((settings.Aliases ?? []).length > 0) {
    throw invalid('network-scoped alias is supported only for containers in user defined networks')
  }
}
