import type { Resources } from '../contracts/index.ts'

/** Docker gives a container as much swap as memory when only memory is named. */
export function swapLimit(r: Resources): number | undefined {
  const swap = r.MemorySwap ?? 0
  if (swap !== 0) return swap
  return (r.Memory ?? 0) > 0 ? (r.Memory ?? 0) * 2 : undefined
}

/** Microseconds; 0 leaves the kernel's, a quota of -1 (as of all below 0) is unlimited. --cpus is a quota of a period of 100 ms. */
export function cfsOf(r: Resources): { period: number; quota: number } {
  const nano = r.NanoCpus ?? 0
  if (nano > 0) return { period: 100_000, quota: Math.floor(nano / 10_000) }
  return { period: r.CpuPeriod ?? 0, quota: Math.max(r.CpuQuota ?? 0, -1) }
}

/** `hugepages-2048kB` -> `2MB`, as the kernel names the files (mm/hugetlb_cgroup.c, mem_fmt). */
export function hugePageName(directory: string): string {
  const kib = Number(/(\d+)kB$/.exec(directory)?.[1] ?? 0)
  if (kib >= 1024 * 1024) return `${kib / 1024 / 1024}GB`
  return kib >= 1024 ? `${kib / 1024}MB` : `${kib}KB`
}
