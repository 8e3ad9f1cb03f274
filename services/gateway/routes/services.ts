import type { Health } from '../../../shared/contracts/index.ts'
import type { Backend } from '../backend.ts'

/** The services below. */
export const SERVICES = ['engine', 'network', 'storage', 'cgroup', 'exec'] as const
const TIMEOUT_MS = 2_000

/** Health of the services below, and as warnings what is wrong with them; one that does not answer is a warning too. */
export async function healthOfAll(backend: Backend): Promise<{ health: Health[]; warnings: string[] }> {
  const answers = await Promise.allSettled(SERVICES.map((name) => backend[name].health({}, { timeoutMs: TIMEOUT_MS })))
  const health: Health[] = []
  const warnings: string[] = []
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'rejected') {
      warnings.push(`WARNING: the ${SERVICES[i]} service does not answer: ${(answer.reason as Error).message}`)
    } else {
      health.push(answer.value)
      warnings.push(...answer.value.warnings.map((text) => `WARNING: ${answer.value.service}: ${text}`))
    }
  }
  return { health, warnings }
}
