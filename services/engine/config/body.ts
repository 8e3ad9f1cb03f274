import { Compile } from 'typebox/compile'
import { invalid } from '../../../shared/errors/index.ts'
import { lazy } from '../../../shared/lazy.ts'
import { CreateBody, EndpointSettings, ExecConfig, UpdateBody } from './schema.ts'

const checkers = {
  create: lazy(() => Compile(CreateBody)),
  exec: lazy(() => Compile(ExecConfig)),
  update: lazy(() => Compile(UpdateBody)),
  endpoint: lazy(() => Compile(EndpointSettings)),
}
interface Bodies {
  create: CreateBody
  exec: ExecConfig
  update: UpdateBody
  endpoint: EndpointSettings
}

/**
 * A body of Docker's API with the types that its documentation gives it.
 * @throws `invalid`, naming the member, for example "HostConfig.Memory must be integer".
 */
export function checkBody<K extends keyof Bodies>(kind: K, body: Record<string, unknown>): Bodies[K] {
  const value = withoutNulls(spellOut(body))
  const checker = checkers[kind]()
  if (checker.Check(value)) return value
  const problem = [...checker.Errors(value)][0]
  const field = problem?.instancePath.slice(1).replaceAll('/', '.').replaceAll('~1', '/') ?? ''
  throw invalid(`invalid JSON: ${field || 'the body'} ${problem?.message ?? 'is not valid'}`, { details: { field } })
}

/** Docker's forms that are not one type: a command as one string, and null in a map where the key alone counts. */
function spellOut(body: Record<string, unknown>): Record<string, unknown> {
  const out = { ...body }
  for (const key of ['Cmd', 'Entrypoint', 'Shell']) if (typeof out[key] === 'string') out[key] = [out[key]]
  for (const key of ['ExposedPorts', 'Volumes']) out[key] = nullValues(out[key], {})
  if (isObject(out['HostConfig'])) {
    out['HostConfig'] = { ...out['HostConfig'], PortBindings: nullValues(out['HostConfig']['PortBindings'], []) }
  }
  if (isObject(out['NetworkingConfig'])) {
    const endpoints = nullValues(out['NetworkingConfig']['EndpointsConfig'], {})
    out['NetworkingConfig'] = { ...out['NetworkingConfig'], EndpointsConfig: endpoints }
  }
  return out
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

const nullValues = (map: unknown, instead: unknown): unknown =>
  isObject(map) ? Object.fromEntries(Object.entries(map).map(([k, v]) => [k, v ?? instead])) : map

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== null && v !== undefined)
      .map(([k, v]) => [k, withoutNulls(v)]),
  )
}
