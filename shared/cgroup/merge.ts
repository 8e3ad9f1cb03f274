import type { Resources } from '../contracts/index.ts'
import { conflict } from '../errors/index.ts'

/** Null and absent are "not named". */
const named = (value: unknown): boolean => value !== undefined && value !== null

/**
 * Limits after a `docker update`: what `change` names replaces what was set; 0 and '' name nothing, but for PidsLimit, where 0 and
 * -1 are "unlimited" (moby, container/container_unix.go, UpdateContainer). `conflict` when the two cannot be together.
 */
export function mergeResources(set: Resources, change: Resources): Resources {
  refuseConflicts(set, change)
  const merged: Record<string, unknown> = { ...set }
  for (const [field, value] of Object.entries(change)) {
    if (!named(value)) continue
    if (field !== 'PidsLimit' && (value === 0 || value === '')) continue
    merged[field] = value
  }
  return merged
}

function refuseConflicts(set: Resources, change: Resources): void {
  const had = (field: 'NanoCpus' | 'CpuPeriod' | 'CpuQuota'): boolean => (set[field] ?? 0) > 0
  const wants = (field: 'NanoCpus' | 'CpuPeriod' | 'CpuQuota'): boolean => (change[field] ?? 0) > 0
  if (wants('NanoCpus') && had('CpuPeriod')) {
    throw conflict('Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set')
  }
  if (wants('NanoCpus') && had('CpuQuota')) {
    throw conflict('Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set')
  }
  if (wants('CpuPeriod') && had('NanoCpus')) {
    throw conflict('Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set')
  }
  if (wants('CpuQuota') && had('NanoCpus')) {
    throw conflict('Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set')
  }
  // Where no swap was set, and where it is unlimited (-1), it is below any memory.
  if ((change.Memory ?? 0) > (set.MemorySwap ?? 0) && (change.Memory ?? 0) !== 0 && (change.MemorySwap ?? 0) === 0) {
    throw conflict(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    )
  }
}
