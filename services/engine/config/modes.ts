import { invalid } from '../../../shared/errors/index.ts'

/** How a container shares a namespace, as a Docker user says it. */
export type ShareMode =
  | { kind: 'private' }
  | { kind: 'shareable' }
  | { kind: 'none' }
  | { kind: 'host' }
  | { kind: 'container'; target: string }

/**
 * PidMode, IpcMode, UTSMode or CgroupnsMode. Empty is `private`, Docker's default for each of them (the cgroup
 * namespace's depends on the hierarchy: see defaults).
 * @throws `invalid` naming the option and the value.
 */
export function parseShareMode(option: ShareOption, text: string): ShareMode {
  if (text === '' || text === 'private') return { kind: 'private' }
  if (text === 'host') return { kind: 'host' }
  if (option === 'IpcMode' && (text === 'shareable' || text === 'none')) return { kind: text }
  if ((option === 'IpcMode' || option === 'PidMode') && text.startsWith('container:')) {
    const target = text.slice('container:'.length)
    if (target !== '') return { kind: 'container', target }
  }
  throw invalid(`invalid ${WORD[option]} mode: ${text}`, { details: { field: `HostConfig.${option}` } })
}
export type ShareOption = 'PidMode' | 'IpcMode' | 'UTSMode' | 'CgroupnsMode'
const WORD = { PidMode: 'PID', IpcMode: 'IPC', UTSMode: 'UTS', CgroupnsMode: 'cgroup namespace' } as const

/** HostConfig.NetworkMode. `user`: a network by name or id. */
export type NetworkMode =
  | { kind: 'bridge' }
  | { kind: 'host' }
  | { kind: 'none' }
  | { kind: 'container'; target: string }
  | { kind: 'user'; network: string }

export function parseNetworkMode(text: string): NetworkMode {
  if (text === '' || text === 'default' || text === 'bridge') return { kind: 'bridge' }
  if (text === 'host' || text === 'none') return { kind: text }
  if (text.startsWith('container:')) {
    const target = text.slice('container:'.length)
    if (target === '') throw invalid('invalid network mode: "container:" needs a container\'s name or id')
    return { kind: 'container', target }
  }
  return { kind: 'user', network: text }
}

/** The name under which the network of NetworkMode is listed; undefined for those that are none. */
export function mainNetwork(mode: NetworkMode): string | undefined {
  if (mode.kind === 'bridge') return 'bridge'
  return mode.kind === 'user' ? mode.network : undefined
}
