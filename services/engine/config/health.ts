import { invalid } from '../../../shared/errors/index.ts'
import type { Config, HealthConfig } from './schema.ts'

const MS = 1_000_000

/** A health check with its defaults filled in; milliseconds. */
export interface HealthCheck {
  readonly command: string[]
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly startPeriodMs: number
  readonly startIntervalMs: number
  readonly retries: number
}

/** @throws `invalid` in Docker's words. */
export function checkHealthConfig(health: HealthConfig): void {
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health[field] ?? 0
    if (value !== 0 && value < MS) throw invalid(`${field} in Healthcheck cannot be less than 1ms`)
  }
  if ((health.Retries ?? 0) < 0) throw invalid('Retries in Healthcheck cannot be negative')
  const [kind] = health.Test ?? []
  if (kind !== undefined && !['', 'NONE', 'CMD', 'CMD-SHELL'].includes(kind)) {
    throw invalid(`Unknown healthcheck type '${kind}': want NONE, CMD or CMD-SHELL`)
  }
}

/** The check that a container runs; undefined when it has none. */
export function healthCheck(config: Config): HealthCheck | undefined {
  const [kind, ...rest] = config.Healthcheck?.Test ?? []
  if (rest.length === 0 || (kind !== 'CMD' && kind !== 'CMD-SHELL')) return undefined
  const h = config.Healthcheck ?? {}
  const ms = (nanoseconds: number | undefined, otherwise: number) => (nanoseconds ? nanoseconds / MS : otherwise)
  const shell = config.Shell?.length ? config.Shell : ['/bin/sh', '-c']
  return {
    command: kind === 'CMD' ? rest : [...shell, rest.join(' ')],
    intervalMs: ms(h.Interval, 30_000),
    timeoutMs: ms(h.Timeout, 30_000),
    startPeriodMs: ms(h.StartPeriod, 0),
    startIntervalMs: ms(h.StartInterval, 5_000),
    retries: h.Retries || 3,
  }
}
