import { invalid } from '../../../shared/errors/index.ts'

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

/** A duration as Go writes it (`1m30s`, `500ms`, `0`), in nanoseconds. `what` names it in the error. */
export function durationNs(text: string, what: string): number {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) throw invalid(`${what}: invalid duration "${text}"`)
  let total = 0
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(value) * (UNITS[unit ?? ''] ?? 0)
  }
  if (total < 1e6) throw invalid(`${what}: duration "${text}" must be at least 1ms`)
  return total
}
