import type { Filters } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'

/**
 * Docker's `filters` parameter, decoded: JSON of `{"label": {"a=b": true}}` (what Go clients send) or, as before API 1.22
 * and from most other clients, `{"label": ["a=b"]}`.
 * @param accepted the filters of this list; another one is refused, as Docker does
 */
export function parseFilters(text: string, accepted: readonly string[]): Filters {
  if (text === '') return {}
  const filters: Filters = {}
  for (const [key, value] of Object.entries(readObject(text))) {
    if (!accepted.includes(key)) {
      throw invalid(`invalid filter '${key}': the filters here are ${accepted.join(', ')}`, { details: { field: key } })
    }
    filters[key] = readValues(key, value)
  }
  return filters
}

function readObject(text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(`invalid filter: ${(error as Error).message}`)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('invalid filter: filters is a JSON object such as {"label":["a=b"]}')
  }
  return value
}

function readValues(key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const entries = Object.entries(value)
    if (entries.every(([, on]) => typeof on === 'boolean')) return entries.map(([name]) => name)
  }
  throw invalid(`invalid filter '${key}': its value is ["a", "b"] or {"a": true, "b": true}`)
}
