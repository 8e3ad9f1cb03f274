import { invalid } from '../../../shared/errors/index.ts'
import { parseNetworkMode, parseShareMode } from './modes.ts'
import type { Config, EndpointSettings, HostConfig } from './schema.ts'

const conflicting = (what: string) => invalid(`conflicting options: ${what}`)

/** Options that are each fine but not together. @throws `invalid` in Docker's words. */
export function checkConflicts(
  config: Config,
  hostConfig: HostConfig,
  endpoints: Record<string, EndpointSettings>,
): void {
  const network = parseNetworkMode(hostConfig.NetworkMode ?? '').kind
  const uts = parseShareMode('UTSMode', hostConfig.UTSMode ?? '').kind
  const some = (list: readonly unknown[] | undefined) => (list?.length ?? 0) > 0
  const keys = (map: object | undefined) => Object.keys(map ?? {}).length > 0
  const macs = [config.MacAddress, ...Object.values(endpoints).map((e) => e.MacAddress)].some((m) => (m ?? '') !== '')

  if (uts === 'host' && config.Hostname) throw conflicting('hostname and the UTS mode')
  if (network === 'container') {
    if (config.Hostname) throw conflicting('hostname and the network mode')
    if (uts === 'host') throw conflicting('hostname and the network mode')
    if (some(hostConfig.Links)) {
      throw conflicting("container type network can't be used with links. This would result in undefined behavior")
    }
    if (some(hostConfig.Dns)) throw conflicting('dns and the network mode')
    if (some(hostConfig.ExtraHosts)) throw conflicting('custom host-to-IP mapping and the network mode')
    if (macs) throw conflicting('mac-address and the network mode')
    if (keys(hostConfig.PortBindings) || hostConfig.PublishAllPorts) {
      throw conflicting('port publishing and the container type network mode')
    }
    if (keys(config.ExposedPorts)) throw conflicting('port exposing and the container type network mode')
    if (Object.keys(endpoints).length > 0) throw conflicting('networks and the container type network mode')
  }
  if (network === 'host') {
    if (some(hostConfig.Links)) {
      throw conflicting("host type networking can't be used with links. This would result in undefined behavior")
    }
    if (macs) throw conflicting('mac-address and the network mode')
  }
  if ((network === 'host' || network === 'none') && Object.keys(endpoints).some((n) => n !== network)) {
    throw invalid(`container cannot be connected to network endpoints besides "${network}"`)
  }
}
