import { setTimeout as sleep } from 'node:timers/promises'

/** Tries until `attempt` returns something true; throws the last error, or that it never did, after `timeoutMs`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  attempt: () => Promise<T> | T,
): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await attempt()
      if (value !== false && value !== undefined && value !== null) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last })
    await sleep(50)
  }
}
