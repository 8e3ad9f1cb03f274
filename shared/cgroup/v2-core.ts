import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { conflict, toGantryError } from '../errors/index.ts'
import { type CgroupFs, isGone } from '../kernel/cgroupfs.ts'
import { isCode } from '../kernel/libc.ts'
import { PATIENCE_MS } from './group-dirs.ts'
import { keyedLine } from './writes.ts'

/*
 * What every directory of a v2 tree has, whichever controllers are there (Documentation/admin-guide/cgroup-v2.rst, "Core Interface
 * Files"). The v1 driver uses it in the v2 tree of a hybrid host.
 */

/** Waits until a key of cgroup.events has the value; a group that goes away ends the wait. False after `ms`. */
async function waitForEvent(fs: CgroupFs, dir: string, key: string, value: '0' | '1', ms: number): Promise<boolean> {
  const file = join(dir, 'cgroup.events')
  const reached = (): boolean => {
    try {
      return keyedLine(fs.read(file), key) === value
    } catch (error) {
      if (isGone(error)) return true
      throw error
    }
  }
  if (reached()) return true
  const over = new AbortController()
  let stopWatching = (): void => undefined
  try {
    const seen = new Promise<true>((resolve, reject) => {
      const look = (): void => {
        try {
          if (reached()) resolve(true)
        } catch (error) {
          reject(toGantryError(error))
        }
      }
      stopWatching = fs.watch(file, look)
      look() // it may have come between the first look and the watch
    })
    return await Promise.race([seen, delay(ms, false as const, { signal: over.signal })])
  } catch (error) {
    if (isCode(error, 'ENOENT')) return true
    throw error
  } finally {
    stopWatching()
    over.abort()
  }
}

/** cgroup.freeze; returns when all stand still. `conflict` after 10 s, thawed again. */
export async function freezeV2(fs: CgroupFs, dir: string): Promise<void> {
  fs.write(join(dir, 'cgroup.freeze'), '1')
  if (await waitForEvent(fs, dir, 'frozen', '1', PATIENCE_MS)) return
  fs.write(join(dir, 'cgroup.freeze'), '0')
  throw conflict(`cgroup ${dir} does not freeze: a process in it is in uninterruptible sleep`)
}

export function thawV2(fs: CgroupFs, dir: string): void {
  fs.write(join(dir, 'cgroup.freeze'), '0')
}

/** Kills everything at once (cgroup.kill, Linux 5.14); false where the kernel has not got that. */
export function killV2(fs: CgroupFs, dir: string): boolean {
  try {
    fs.write(join(dir, 'cgroup.kill'), '1')
    return true
  } catch (error) {
    if (isGone(error) || isCode(error, 'EOPNOTSUPP')) return false
    throw error
  }
}

/** Waits until no process is left in the group or below; false after `ms`. */
export const emptyV2 = (fs: CgroupFs, dir: string, ms: number): Promise<boolean> =>
  waitForEvent(fs, dir, 'populated', '0', ms)

/**
 * SIGKILL to all that `list` says, again until it says nobody new: a process that forked before it died is seen in the next
 * turn.
 */
export function killListed(fs: CgroupFs, list: () => readonly number[]): void {
  const killed = new Set<number>()
  for (let turn = 0; turn < 1000; turn++) {
    const fresh = list().filter((pid) => !killed.has(pid))
    if (fresh.length === 0) return
    for (const pid of fresh) {
      fs.kill(pid, 'SIGKILL')
      killed.add(pid)
    }
  }
}
