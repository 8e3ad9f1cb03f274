import type { Row } from './rows.ts'
import type { Subject } from './subject.ts'

const NAME = 36
const COLUMN = 16

export function reportHeading(subjects: readonly Subject[]): string {
  const names = subjects.map((subject) => subject.name.padStart(COLUMN)).join('')
  return `${''.padEnd(NAME)}${names}  to docker  reach`
}

/** A line: medians, the first subject's ratio to the reference (below 1 is less), the goal and whether each one meets it. */
export function report(row: Row, subjects: readonly Subject[], times: ReadonlyMap<string, number[] | Error>): string {
  const medians = subjects.map((subject) => {
    const measured = times.get(subject.name)
    return measured === undefined || measured instanceof Error ? undefined : median(measured)
  })
  const cells = subjects.map((subject, i) => {
    const value = medians[i]
    const text =
      times.get(subject.name) instanceof Error
        ? 'FAILED'
        : value === undefined
          ? '-'
          : `${value.toFixed(1)} ${row.unit}`
    return text.padStart(COLUMN)
  })
  const reference = medians[subjects.findIndex((subject) => subject.reference)]
  const first = medians[0]
  const ratio = reference === undefined || first === undefined ? '-' : (first / reference).toFixed(2)
  const verdicts = subjects.flatMap((subject, i) => {
    const goal = row.reachOf?.[subject.name] ?? row.reach
    const value = medians[i]
    if (goal === undefined || value === undefined || subject.reference) return []
    const met = row.unit.endsWith('/s') ? value >= goal : value <= goal
    return [met ? 'met' : 'MISSED']
  })
  const goal = row.reach ?? Object.values(row.reachOf ?? {})[0]
  const reach =
    goal === undefined ? '' : `${row.unit.endsWith('/s') ? '>=' : '<='} ${goal} ${row.unit}: ${verdicts.join(', ')}`
  const errors = [...times].flatMap(([name, value]) =>
    value instanceof Error ? [`\n    ${name}: ${value.message}`] : [],
  )
  return `${row.name.padEnd(NAME)}${cells.join('')}  ${ratio.padStart(9)}  ${reach}${errors.join('')}`
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
}
