import type { Filters } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { exposedPorts, parsePorts, portKey } from '../config/ports.ts'
import { STATUSES, type Container } from '../containers/container.ts'
import type { Containers } from '../containers/registry.ts'

type Test = (container: Container) => boolean

/** What `ancestor` needs of images: which ids an image reference stands for, its descendants included. */
export interface FilterContext {
  readonly containers: Containers
  readonly imageIds: (ref: string) => Promise<ReadonlySet<string>>
  readonly networkIds: (ref: string) => Promise<ReadonlySet<string>>
}

const HEALTH = ['starting', 'healthy', 'unhealthy', 'none']

/**
 * The containers that `docker ps --filter` chooses: values of one filter are alternatives (but every label must be there), and
 * all filters must hold. @throws `invalid` naming filter and value.
 */
export async function listFilter(filters: Filters, context: FilterContext): Promise<Test> {
  const tests: Test[] = []
  for (const [name, values] of Object.entries(filters)) {
    if (values.length > 0) tests.push(await makeTest(name, values, context))
  }
  return (container) => tests.every((test) => test(container))
}

async function makeTest(name: string, values: readonly string[], context: FilterContext): Promise<Test> {
  const any =
    <T>(items: readonly T[], matches: (container: Container, item: T) => boolean): Test =>
    (container) =>
      items.some((item) => matches(container, item))
  const oneOf = (allowed: readonly string[]) => {
    for (const v of values) if (!allowed.includes(v)) throw invalid(`invalid filter '${name}=${v}'`)
    return values
  }
  switch (name) {
    case 'id':
      return any(values.map(pattern), (c, p) => c.id.startsWith(p.text) || p.regexp.test(c.id))
    case 'name':
      // With and without the slash that the API shows before names.
      return any(values.map(pattern), (c, p) => p.regexp.test(c.name) || p.regexp.test(`/${c.name}`))
    case 'label':
      return (c) => values.every((v) => hasLabel(c, v))
    case 'status':
      return any(oneOf(STATUSES), (c, v) => c.state.status === v)
    case 'exited':
      return any(values.map(integer(name)), (c, code) => c.state.status === 'exited' && c.state.exitCode === code)
    case 'before':
    case 'since': {
      const sign = name === 'before' ? -1 : 1
      const marks = values.map((ref) => Date.parse(context.containers.find(ref).created))
      return any(marks, (c, mark) => Math.sign(Date.parse(c.created) - mark) === sign)
    }
    case 'ancestor': {
      const ids = await Promise.all(values.map(context.imageIds))
      return any(ids, (c, set) => set.has(c.imageId))
    }
    case 'volume':
      return any(values, (c, v) => c.mountPoints.some((m) => m.Name === v || m.Source === v || m.Destination === v))
    case 'network': {
      const ids = await Promise.all(values.map(context.networkIds))
      return any(values, (c, v) => isOnNetwork(c, v, ids[values.indexOf(v)]))
    }
    case 'publish':
      return any(values.flatMap(parsePorts), (c, p) =>
        (c.state.sandbox?.ports ?? []).some(
          (b) => b.protocol === p.protocol && (b.hostPort === p.port || b.containerPort === p.port),
        ),
      )
    case 'expose':
      return any(values.flatMap(parsePorts), (c, p) =>
        exposedPorts(c.config, c.hostConfig).some((e) => portKey(e) === portKey(p)),
      )
    case 'health':
      return any(oneOf(HEALTH), (c, v) => (c.state.health?.Status ?? 'none') === v)
    case 'is-task':
      return any(oneOf(['true', 'false', '1', '0']), (_, v) => v === 'false' || v === '0')
    case 'isolation':
      return any(values, (_, v) => v === 'default' || v === '')
    default:
      throw invalid(`invalid filter '${name}'`)
  }
}

function isOnNetwork(container: Container, ref: string, ids: ReadonlySet<string> | undefined): boolean {
  if (container.hostConfig.NetworkMode === ref) return true
  const live = container.state.sandbox?.endpoints.some((e) => ids?.has(e.networkId))
  return (
    live === true ||
    Object.entries(container.endpoints).some(([name, e]) => name === ref || (ids?.has(e.NetworkID ?? '') ?? false))
  )
}

function pattern(text: string): { text: string; regexp: RegExp } {
  try {
    return { text, regexp: new RegExp(text) }
  } catch {
    return { text, regexp: new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) }
  }
}

const integer = (name: string) => (text: string) => {
  if (!/^-?\d+$/.test(text)) throw invalid(`invalid filter '${name}=${text}': want a number`)
  return Number(text)
}

/** `key` or `key=value`. */
export function hasLabel(container: Container, text: string): boolean {
  const labels = container.config.Labels ?? {}
  const at = text.indexOf('=')
  return at < 0 ? text in labels : labels[text.slice(0, at)] === text.slice(at + 1)
}

/** `until`, `label` and `label!` of container prune. @throws `invalid` naming the filter. */
export function pruneFilter(filters: Filters): Test {
  const tests: Test[] = []
  for (const [name, values] of Object.entries(filters)) {
    if (name === 'label') tests.push((c) => values.every((v) => hasLabel(c, v)))
    else if (name === 'label!') tests.push((c) => !values.some((v) => hasLabel(c, v)))
    else if (name === 'until') {
      const limit = Math.min(...values.map(pointInTime))
      tests.push((c) => Date.parse(c.created) < limit)
    } else throw invalid(`invalid filter '${name}'`)
  }
  return (container) => tests.every((test) => test(container))
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Seconds since the epoch, a Go duration before now (`1h30m`), or a date. */
function pointInTime(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length > 0 && parts.map((p) => p[0]).join('') === text) {
    return Date.now() - parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNIT_MS[unit ?? ''] ?? 0), 0)
  }
  const date = Date.parse(text)
  if (Number.isNaN(date)) throw invalid(`invalid filter 'until=${text}': want a time, a duration or seconds`)
  return date
}
