import type { Filters } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'

/** Refuses filters that a list does not know, in Docker's words. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  for (const name of Object.keys(filters)) if (!known.includes(name)) throw invalid(`invalid filter '${name}'`)
}

/** A filter that is yes or no; undefined when it is not there. */
export function booleanFilter(filters: Filters, name: string): boolean | undefined {
  const values = filters[name]
  if (!values || values.length === 0) return undefined
  const parsed = values.map((value) => {
    if (['1', 'true', 't', 'True', 'TRUE', 'T'].includes(value)) return true
    if (['0', 'false', 'f', 'False', 'FALSE', 'F'].includes(value)) return false
    throw invalid(`invalid filter '${name}=[${values.join(' ')}]'`)
  })
  if (new Set(parsed).size > 1) throw invalid(`invalid filter '${name}=[${values.join(' ')}]'`)
  return parsed[0]
}

/** Whether labels have all of `wanted` (`key` or `key=value`). */
export function hasLabels(labels: Readonly<Record<string, string>>, wanted: readonly string[] | undefined): boolean {
  return (wanted ?? []).every((text) => {
    const equals = text.indexOf('=')
    const [key, value] = equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)]
    return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value)
  })
}

/** Whether labels have none of `unwanted` (the filter `label!`). */
export const lacksLabels = (
  labels: Readonly<Record<string, string>>,
  unwanted: readonly string[] | undefined,
): boolean => (unwanted ?? []).every((text) => !hasLabels(labels, [text]))

const DURATION = /^(?:\d+(?:\.\d+)?(?:h|m|s|ms))+$/

/** The filter `until`: a time (RFC 3339 or seconds since the epoch) or a duration before now; in milliseconds. */
export function untilFilter(filters: Filters, now = Date.now()): number | undefined {
  const values = filters['until'] ?? []
  if (values.length === 0) return undefined
  const [text] = values
  if (values.length > 1 || text === undefined) throw invalid('more than one until filter specified')
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000
  if (DURATION.test(text)) {
    const unit: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }
    return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce(
      (t, [, n, u]) => t - Number(n) * (unit[u ?? ''] ?? 0),
      now,
    )
  }
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw invalid(`invalid filter 'until=${text}': neither a time nor a duration`)
  return ms
}

/** A shell pattern as Go's path.Match has it: `*` and `?` do not match a slash. */
export function patternToRegExp(pattern: string): RegExp {
  let source = ''
  for (let i = 0; i < pattern.length; i++) {
    const ch = pattern.charAt(i)
    if (ch === '*') source += '[^/]*'
    else if (ch === '?') source += '[^/]'
    else if (ch === '[') {
      const end = pattern.indexOf(']', i + 2)
      if (end < 0) throw invalid(`syntax error in pattern: ${pattern}`)
      source += `[${pattern.slice(i + 1, end).replace(/\\/g, '\\\\')}]`
      i = end
    } else source += (ch === '\\' ? pattern.charAt(++i) : ch).replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  }
  try {
    return new RegExp(`^${source}$`)
  } catch {
    throw invalid(`syntax error in pattern: ${pattern}`)
  }
}
