import { parseRestartPolicy } from '../config/restart.ts'
import type { Container } from '../containers/container.ts'

const FIRST_MS = 100
const LONGEST_MS = 60_000
/** A run of this length was no failure to start: waiting begins anew. */
const STABLE_MS = 10_000

/** Whether its policy wants a container that has just ended with `exitCode` started again. */
export function shouldRestart(container: Container, exitCode: number): boolean {
  const { state, hostConfig } = container
  if (state.manuallyStopped) return false
  const { Name: policy, MaximumRetryCount: most } = parseRestartPolicy(hostConfig.RestartPolicy)
  if (policy === 'on-failure') return exitCode !== 0 && (most === 0 || state.restartCount < most)
  return policy === 'always' || policy === 'unless-stopped'
}

/** Whether its policy wants a container that was running when the machine went down started again. */
export const restartsAfterReboot = (container: Container): boolean => shouldRestart(container, 255)

/** How long to wait before the next start, given the last wait and how long the run was. */
export const nextDelay = (last: number | undefined, ranMs: number): number =>
  last === undefined || ranMs >= STABLE_MS ? FIRST_MS : Math.min(last * 2, LONGEST_MS)
