import { conflict } from '../../../shared/errors/index.ts'
import { mergeEnv } from '../config/image.ts'
import { exposedPorts, type Port } from '../config/ports.ts'
import { isAlive, type Container } from '../containers/container.ts'
import type { Containers } from '../containers/registry.ts'

/** Links of the default bridge (`--link`): variables and a line in /etc/hosts. On other networks they are names for the DNS, no more. */

interface LinkTarget {
  readonly target: Container
  readonly alias: string
}

/** Those that are still there; none for a container that is not on the default bridge. */
function linkTargets(containers: Pick<Containers, 'get'>, container: Container): LinkTarget[] {
  if (!container.endpoints['bridge']) return []
  return container.links.flatMap(({ id, alias }) => {
    const target = containers.get(id)
    return target ? [{ target, alias }] : []
  })
}

/** @throws `conflict` in Docker's words when one does not run, or is on other networks alone. */
export function checkLinks(containers: Pick<Containers, 'get'>, container: Container): void {
  for (const { target, alias } of linkTargets(containers, container)) {
    // One that its policy starts again will be told of when it is back.
    if (!isAlive(target) && target.state.status !== 'restarting') {
      throw conflict(`Cannot link to a non running container: /${target.name} AS /${container.name}/${alias}`)
    }
    if (!target.endpoints['bridge']) throw conflict(`container ${target.id} not attached to default bridge network`)
  }
}

/** The container with the variables of its links; what it says itself outweighs them. */
export function withLinkVariables(containers: Pick<Containers, 'get'>, container: Container): Container {
  const variables = linkTargets(containers, container).flatMap((link) => linkVariables(container, link))
  if (variables.length === 0) return container
  return { ...container, config: { ...container.config, Env: mergeEnv(variables, container.config.Env ?? []) } }
}

function linkVariables(container: Container, { target, alias }: LinkTarget): string[] {
  const address = target.state.sandbox?.endpoints.find((e) => e.networkName === 'bridge')?.ipv4 ?? ''
  if (address === '') return []
  const prefix = alias.toUpperCase().replaceAll('-', '_')
  const ports = exposedPorts(target.config, target.hostConfig).sort(byNumber)
  const url = ({ port, protocol }: Port): string => `${protocol}://${address}:${port}`
  const own = (target.config.Env ?? []).filter((v) => v.includes('=') && !/^(HOME|PATH)=/.test(v))
  return [
    ...ports.slice(0, 1).map((port) => `${prefix}_PORT=${url(port)}`),
    ...ranges(ports).flatMap(([first, last]) => {
      const [start, end] = [portVariable(prefix, first), portVariable(prefix, { ...last, port: first.port })]
      return [
        `${start}_START=${url(first)}`,
        `${start}_ADDR=${address}`,
        `${start}_PROTO=${first.protocol}`,
        `${start}_PORT_START=${first.port}`,
        `${end}_END=${url(last)}`,
        `${end}_PORT_END=${last.port}`,
      ]
    }),
    ...ports.flatMap((port) => {
      const name = portVariable(prefix, port)
      return [
        `${name}=${url(port)}`,
        `${name}_ADDR=${address}`,
        `${name}_PORT=${port.port}`,
        `${name}_PROTO=${port.protocol}`,
      ]
    }),
    `${prefix}_NAME=/${container.name}/${alias}`,
    ...own.map((variable) => `${prefix}_ENV_${variable}`),
  ]
}

const portVariable = (prefix: string, { port, protocol }: Port): string =>
  `${prefix}_PORT_${port}_${protocol.toUpperCase()}`

const byNumber = (a: Port, b: Port): number =>
  a.port - b.port || Number(b.protocol === 'tcp') - Number(a.protocol === 'tcp')

/** First and last of each run of three or more ports, as Docker tells them. */
function ranges(ports: readonly Port[]): [Port, Port][] {
  const found: [Port, Port][] = []
  for (let i = 0; i < ports.length;) {
    let end = i
    while ((ports[end + 1]?.port ?? Infinity) <= (ports[end]?.port ?? 0) + 1) end++
    const [first, last] = [ports[i], ports[end]]
    if (first && last && end > i + 1) found.push([first, last])
    i = end > i + 1 ? end + 1 : i + 1
  }
  return found
}
