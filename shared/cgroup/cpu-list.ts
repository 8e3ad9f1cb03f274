/** The most CPUs that Linux can have. */
const MAX = 8192

/** The numbers in a list of CPUs or memory nodes (`0-3,8`; cpuset(7), "List format"). undefined when it is no such list. */
export function parseCpuList(list: string): Set<number> | undefined {
  const numbers = new Set<number>()
  for (const part of list.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    if (!match) return undefined
    const from = Number(match[1])
    const to = Number(match[2] ?? match[1])
    if (to < from || to >= MAX) return undefined
    for (let i = from; i <= to; i++) numbers.add(i)
  }
  return numbers
}

/** What is wrong with a list that cannot be parsed, in Docker's words. */
export const cpuListProblem = (list: string): string =>
  list.split(/[,-]/).some((n) => Number(n) >= MAX) ? `value of out range, maximum is ${MAX}` : `invalid format: ${list}`
