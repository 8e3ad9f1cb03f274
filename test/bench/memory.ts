import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallel, remove, startNew } from './containers.ts'
import type { Subject } from './subject.ts'

const CONTAINERS = 30
const SETTLE_MS = 3_000

/** Proportional set size of processes in MB: what is shared counts in parts (proc(5), smaps_rollup). */
export function pss(pids: readonly number[]): number {
  let kilobytes = 0
  for (const pid of pids) {
    try {
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
    } catch {
      // It has ended meanwhile.
    }
  }
  return kilobytes / 1024
}

export const idleMemory = async (subject: Subject): Promise<number> => pss(await subject.processes())

/** MB that the engine needs more for each running container, beyond the container's own process. */
export async function memoryPerContainer(subject: Subject): Promise<number> {
  const before = await idleMemory(subject)
  const ids = await parallel(Array.from({ length: CONTAINERS }), 4, () => startNew(subject))
  await sleep(SETTLE_MS)
  const after = await idleMemory(subject)
  await parallel(ids, 4, (id) => remove(subject, id))
  return (after - before) / CONTAINERS
}
