import type { Job } from '../../shared/contracts/index.ts'
import { apiJson } from './api.ts'
import { table } from './table.ts'

/** `gantry jobs`: the API's /gantry/v1/jobs. */
export async function jobs(options: { last: string; json?: boolean }): Promise<void> {
  const list = await apiJson<Job[]>(`/gantry/v1/jobs?last=${encodeURIComponent(options.last)}`)
  if (options.json === true) {
    process.stdout.write(JSON.stringify(list, null, 2) + '\n')
    return
  }
  const rows = list.map((job) => [
    new Date(job.startedAt).toISOString(),
    job.name,
    job.status,
    `${job.ms.toFixed(1)} ms`,
    job.steps.map((step) => `${step.name} ${step.ms.toFixed(1)}`).join(', ') +
      (job.error === undefined ? '' : `; ${job.error}`),
  ])
  process.stdout.write(table([['STARTED', 'JOB', 'STATUS', 'TIME', 'STEPS (ms)'], ...rows]))
}
