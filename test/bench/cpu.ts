import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallel, remove, startNew } from './containers.ts'
import type { Subject } from './subject.ts'

const CONTAINERS = 200
const SETTLE_MS = 5_000
const MEASURE_MS = 10_000
/** proc(5) counts in USER_HZ, 100 on every architecture that Node runs on. */
const MS_PER_TICK = 10

/** CPU time of processes so far, in ms. */
export function cpuMs(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    try {
      // The name may have blanks in it: user and system time are the 12th and 13th field after it.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks * MS_PER_TICK
}

/** Percent of one core that the engine needs to count and to tell, once a second, what so many idle containers use. */
export async function metricsCpu(subject: Subject): Promise<number> {
  const ids = await parallel(Array.from({ length: CONTAINERS }), 4, () => startNew(subject))
  try {
    await sleep(SETTLE_MS)
    const pids = await subject.processes()
    const [before, start] = [cpuMs(pids), performance.now()]
    await sleep(MEASURE_MS)
    return ((cpuMs(pids) - before) / (performance.now() - start)) * 100
  } finally {
    await parallel(ids, 4, (id) => remove(subject, id))
  }
}
