import { invalid } from '../../../shared/errors/index.ts'
import type { RestartPolicy } from './schema.ts'

export const RESTART_POLICIES = ['no', 'always', 'unless-stopped', 'on-failure'] as const
export type RestartName = (typeof RESTART_POLICIES)[number]

/** HostConfig.RestartPolicy, empty as `no`. @throws `invalid` in Docker's words. */
export function parseRestartPolicy(policy: RestartPolicy | undefined): {
  Name: RestartName
  MaximumRetryCount: number
} {
  const name = policy?.Name ?? ''
  const count = policy?.MaximumRetryCount ?? 0
  const known = RESTART_POLICIES.find((p) => p === (name === '' ? 'no' : name))
  if (known === undefined) {
    throw invalid(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    )
  }
  if (count < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative')
  if (count > 0 && known !== 'on-failure') {
    throw invalid(`invalid restart policy: maximum retry count can only be used with 'on-failure'`)
  }
  return { Name: known, MaximumRetryCount: count }
}
