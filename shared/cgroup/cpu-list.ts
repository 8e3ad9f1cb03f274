/**
 * The numbers in a list of CPUs or memory nodes (`0-3,8`; cpuset(7), "List format"). undefined when it is no such list. Bounded
 * at 8192, the most CPUs that Linux can have.
 */
export function parseCpuList(list: string): Set<number> | undefined {
  const numbers = new Set<number>()
  for (const part of list.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim())
    if (!match) return undefined
    const from = Number(match[1])
    const to = Number(match[2] ?? match[1])
    if (to < from || to >= 8192) return undefined
    for (let i = from; i <= to; i++) numbers.add(i)
  }
  return numbers
}
