import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { isCode, syscallFn } from '../../shared/kernel/libc.ts'

const LOCK_EX = 2
const LOCK_NB = 4
const RETRY_MS = 25

/**
 * Runs `work` while holding flock(2) on `path`, which the kernel lets go of when this process dies. Waits for another
 * holder up to `timeoutMs`; the lock call itself must not block, it would stop the whole process.
 */
export async function withLock<T>(path: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const flock = syscallFn('int flock(int fd, int operation)')
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 })
  const fd = openSync(path, 'w', 0o600)
  try {
    const end = Date.now() + timeoutMs
    while (!tryLock()) {
      if (Date.now() > end) throw new Error(`another gantry command holds ${path} for more than ${timeoutMs / 1000} s`)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    return await work()
  } finally {
    closeSync(fd)
  }

  function tryLock(): boolean {
    try {
      flock(fd, LOCK_EX | LOCK_NB)
      return true
    } catch (error) {
      if (isCode(error, 'EWOULDBLOCK', 'EAGAIN')) return false
      throw error
    }
  }
}
