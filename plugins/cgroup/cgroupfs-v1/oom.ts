import type { OomKills } from '../../../shared/drivers/index.ts'
import { type CgroupFs, isGone } from '../../../shared/kernel/cgroupfs.ts'

/** When to look again after an event, in ms: the kernel sends it just before it chooses the process to kill. */
const LOOKS = [1, 10, 50, 250]

/**
 * v1's OOM notification (Documentation/admin-guide/cgroup-v1/memory.rst, 10. OOM Control): an event that says "out of memory",
 * after which the counter tells whether somebody was killed.
 */
export function watchOomV1(
  fs: CgroupFs,
  dir: string,
  count: () => OomKills,
  told: (kills: OomKills) => void,
): () => void {
  let last = count().total
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  const look = (turn: number): void => {
    const kills = count()
    // Lower when a group below has gone.
    if (kills.total > last) told(kills)
    last = kills.total
    const next = LOOKS[turn]
    if (next === undefined || stopped || !fs.exists(dir)) return
    timer = setTimeout(() => look(turn + 1), next).unref()
  }
  const signalled = (): void => {
    clearTimeout(timer)
    look(0)
  }

  try {
    const unregister = fs.registerEvent(dir, 'memory.oom_control', signalled)
    return () => {
      stopped = true
      clearTimeout(timer)
      unregister()
    }
  } catch (error) {
    if (isGone(error)) return () => undefined
    throw error
  }
}
