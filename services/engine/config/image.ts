import { Compile } from 'typebox/compile'
import { invalid } from '../../../shared/errors/index.ts'
import { lazy } from '../../../shared/lazy.ts'
import { Config, type HealthConfig } from './schema.ts'

const form = lazy(() => Compile(Config))

/** An image's configuration in Docker's spelling, as storage gives it; what is not well-formed is left out. */
export function imageConfig(raw: Record<string, unknown>): Config {
  const known = Object.keys(Config.properties)
  const given = Object.fromEntries(Object.entries(raw).filter(([k, v]) => known.includes(k) && v !== null))
  const checker = form()
  if (checker.Check(given)) return given
  const problem = [...checker.Errors(given)][0]
  throw invalid(`the image's configuration is not valid: ${problem?.instancePath} ${problem?.message}`)
}

/**
 * A container's configuration over its image's, as Docker merges them: what the container says wins; lists that are
 * sets (environment, ports, volumes, labels) are united.
 * @throws `invalid` "no command specified".
 */
export function mergeImage(config: Config, image: Config): Config {
  const merged: Config = { ...config }
  merged.User ||= image.User ?? ''
  merged.WorkingDir ||= image.WorkingDir ?? ''
  merged.StopSignal ||= image.StopSignal ?? ''
  merged.StopTimeout ??= image.StopTimeout
  if (!merged.Shell?.length) merged.Shell = image.Shell
  merged.Env = uniteEnv(config.Env ?? [], image.Env ?? [])
  merged.Labels = { ...image.Labels, ...config.Labels }
  merged.ExposedPorts = { ...image.ExposedPorts, ...config.ExposedPorts }
  merged.Volumes = { ...image.Volumes, ...config.Volumes }
  merged.Healthcheck = mergeHealth(config.Healthcheck, image.Healthcheck)

  // `--entrypoint ""` arrives as [""]: neither the image's entrypoint nor its command then.
  const reset = config.Entrypoint?.length === 1 && config.Entrypoint[0] === ''
  if (reset) merged.Entrypoint = []
  else if (!config.Entrypoint?.length) {
    if (!config.Cmd?.length) merged.Cmd = image.Cmd
    merged.Entrypoint = image.Entrypoint
  }
  if (!merged.Entrypoint?.length && !merged.Cmd?.length) throw invalid('no command specified')
  return Object.fromEntries(Object.entries(merged).filter(([, v]) => v !== undefined))
}

const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? ''

/** A container's variables, then those of its image that it does not name. */
function uniteEnv(own: readonly string[], image: readonly string[]): string[] {
  const named = new Set(own.map(nameOf))
  return [...mergeEnv([], own), ...image.filter((entry) => !named.has(nameOf(entry)))]
}

/** `NAME=value` lists; a later entry replaces an earlier one of that name, and a bare `NAME` takes it away. */
export function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const entries = new Map(base.map((entry) => [nameOf(entry), entry]))
  for (const entry of over) {
    if (entry.includes('=')) entries.set(nameOf(entry), entry)
    else entries.delete(entry)
  }
  return [...entries.values()]
}

function mergeHealth(own: HealthConfig | undefined, image: HealthConfig | undefined): HealthConfig | undefined {
  if (!own) return image
  if (!image) return own
  return {
    Test: own.Test?.length ? own.Test : image.Test,
    Interval: own.Interval || image.Interval,
    Timeout: own.Timeout || image.Timeout,
    StartPeriod: own.StartPeriod || image.StartPeriod,
    StartInterval: own.StartInterval || image.StartInterval,
    Retries: own.Retries || image.Retries,
  }
}
