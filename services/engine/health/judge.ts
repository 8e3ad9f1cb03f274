import type { HealthResult, HealthState } from '../containers/container.ts'

const KEPT_RESULTS = 5

/** A container whose checks stop (it is paused, or has ended) is unhealthy until one succeeds again, as Docker has it; no event tells so. */
export const uncheckedHealth = (before: HealthState | undefined): HealthState | undefined =>
  before && { ...before, Status: 'unhealthy' }

/**
 * What a container's health is after one more result: healthy at the first success, unhealthy after `retries` failures in a row,
 * of which those in the start period do not count.
 */
export function nextHealth(
  before: HealthState,
  result: HealthResult,
  retries: number,
  inStartPeriod: boolean,
): HealthState {
  const Log = [...before.Log, result].slice(-KEPT_RESULTS)
  if (result.ExitCode === 0) return { Status: 'healthy', FailingStreak: 0, Log }
  if (before.Status === 'starting' && inStartPeriod) return { ...before, Log }
  const FailingStreak = before.FailingStreak + 1
  return { Status: FailingStreak >= retries ? 'unhealthy' : before.Status, FailingStreak, Log }
}
