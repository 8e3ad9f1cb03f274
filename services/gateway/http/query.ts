import type { Filters } from '../../../shared/contracts/index.ts'
import { invalid } from '../../../shared/errors/index.ts'
import { parseFilters } from './filters.ts'
import { parseTimestamp } from './timestamp.ts'

const FALSE = new Set(['', '0', 'no', 'false', 'none'])

/** The parameters of a URL, read the way the Docker daemon reads them. */
export class Query {
  readonly #values: Readonly<Record<string, string | string[] | undefined>>

  constructor(values: Readonly<Record<string, string | string[] | undefined>>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.text(name) !== ''
  }

  /** The first value of that name. */
  text(name: string, fallback = ''): string {
    const value = this.#values[name]
    return (Array.isArray(value) ? value[0] : value) ?? fallback
  }

  /** All values of a name that may be given several times. */
  list(name: string): string[] {
    const value = this.#values[name]
    return value === undefined ? [] : Array.isArray(value) ? value : [value]
  }

  /** False is what Docker takes for it: absent, empty, 0, no, false, none. */
  bool(name: string, fallback = false): boolean {
    return this.#values[name] === undefined ? fallback : !FALSE.has(this.text(name).trim().toLowerCase())
  }

  /** @throws invalid when it is no integer; undefined when it is absent or empty */
  int(name: string): number | undefined {
    const text = this.text(name)
    if (text === '') return undefined
    const value = Number(text)
    if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw invalid(`invalid value "${text}" for query parameter ${name}: an integer is expected`, {
        details: { field: name },
      })
    }
    return value
  }

  /** Seconds since the epoch; undefined when it is absent or empty. */
  time(name: string): number | undefined {
    const text = this.text(name)
    return text === '' ? undefined : parseTimestamp(text, name)
  }

  filters(accepted: readonly string[]): Filters {
    return parseFilters(this.text('filters'), accepted)
  }
}
