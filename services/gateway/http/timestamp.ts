import { invalid } from '../../../shared/errors/index.ts'

const UNIX = /^-?\d+(\.\d+)?$/
const DURATION = /^(\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/
const UNIT_SECONDS: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
}

/**
 * Seconds since the epoch of a `since` or `until` parameter: Unix time with or without a fraction (what the docker CLI
 * sends), RFC 3339, or a Go duration that is counted back from now (`10m`).
 */
export function parseTimestamp(text: string, name: string, now = Date.now()): number {
  if (UNIX.test(text)) return Number(text)
  if (DURATION.test(text)) {
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
    return now / 1000 - parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNIT_SECONDS[unit ?? ''] ?? 0), 0)
  }
  const parsed = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : NaN
  if (Number.isNaN(parsed)) {
    throw invalid(
      `invalid value "${text}" for query parameter ${name}: use Unix seconds, RFC 3339 or a duration such as 10m`,
      { details: { field: name } },
    )
  }
  return parsed / 1000
}
