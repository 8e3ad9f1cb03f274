import { getSystemErrorMap } from 'node:util'
import koffi from 'koffi'

/** A failed system call: `code` as in errno.h (`EBUSY`). */
export class SystemError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string

  constructor(syscall: string, errno: number, detail = '') {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, 'unknown error']
    super(`${syscall}${detail === '' ? '' : ` ${detail}`}: ${text} (${code})`)
    this.name = 'SystemError'
    this.code = code
    this.errno = errno
    this.syscall = syscall
  }
}

export const isCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')

/** The C library, for functions that do not return -1 on failure. */
export const libc = koffi.load('libc.so.6')

/** The calling thread's errno, right after a call through koffi. */
export const errno = (): number => koffi.errno()

type Argument = string | number | bigint | Uint8Array | null
export type SystemCall = (...args: Argument[]) => number

/**
 * Declares a libc function by its C prototype (`int umount2(const char *target, int flags)`). The returned function runs
 * synchronously on this thread and throws SystemError when the C function returns -1.
 */
export function syscallFn(prototype: string): SystemCall {
  const fn = libc.func(prototype) as (...args: Argument[]) => number | bigint
  const name = /(\w+)\s*\(/.exec(prototype)?.[1] ?? prototype
  return (...args) => {
    const result = Number(fn(...args))
    if (result === -1) {
      const failure = koffi.errno()
      throw new SystemError(name, failure, args.filter((a) => typeof a === 'string').join(' '))
    }
    return result
  }
}
