import { parseRestartPolicy } from '../config/restart.ts'
import { NEVER, type Container } from '../containers/container.ts'

const FIRST_MS = 100
const LONGEST_MS = 60_000
/** A run of this length was no failure to start: waiting begins anew. */
const STABLE_MS = 10_000

/** Whether its policy wants a container that has just ended with `exitCode` started again. */
export const shouldRestart = (container: Container, exitCode: number): boolean =>
  !container.state.manuallyStopped && policyWants(container, exitCode)

/**
 * Whether its policy wants one that does not run started when the engine starts. As with Docker, a user's stop is remembered by
 * `unless-stopped` alone, and only what has run before is started.
 */
export function restartsWithEngine(container: Container): boolean {
  const { status, startedAt, manuallyStopped, exitCode } = container.state
  if (status !== 'exited' || startedAt === NEVER || !policyWants(container, exitCode)) return false
  return !manuallyStopped || container.hostConfig.RestartPolicy?.Name !== 'unless-stopped'
}

function policyWants({ state, hostConfig }: Container, exitCode: number): boolean {
  const { Name: policy, MaximumRetryCount: most } = parseRestartPolicy(hostConfig.RestartPolicy)
  if (policy === 'on-failure') return exitCode !== 0 && (most === 0 || state.restartCount < most)
  return policy === 'always' || policy === 'unless-stopped'
}

/** How long to wait before the next start, given the last wait and how long the run was. */
export const nextDelay = (last: number | undefined, ranMs: number): number =>
  last === undefined || ranMs >= STABLE_MS ? FIRST_MS : Math.min(last * 2, LONGEST_MS)
